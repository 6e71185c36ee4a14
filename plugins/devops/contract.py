"""The one description of this plugin: `--describe` prints it and the parser is built from it."""

READS = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}
# Both replace what runs. A deploy of what already runs does nothing; a second rollback goes one release further back.
DEPLOYS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": True}
ROLLS_BACK = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": False}

APP = "The app's name in the configuration, as `apps` lists it"


def parameter(name, description, type="string", required=False, **more):
    return {"name": name, "type": type, "description": description, "required": required, **more}


CONTRACT = {
    "contract_version": "1.1",
    "plugin": {
        "name": "devops",
        "title": "Deploy on this host",
        "version": "1.0.0",
        "description": "Deploys the operator's applications on this host, and goes back by itself when one is not healthy.",
        "env": [
            {
                "name": "DEVOPS_CONFIG",
                "description": "The TOML file of apps; /etc/smcp/devops.toml unless set",
                "required": False,
                "secret": False,
            },
        ],
    },
    "commands": [
        {
            "name": "deploy",
            "title": "Deploy an app",
            "description": "Build a release of an app, switch to it, restart its units and check its health. An unhealthy "
            "release is taken back by itself. Does nothing where that revision already runs and is healthy.",
            "annotations": DEPLOYS,
            "progress": True,
            "parameters": [
                parameter("app-name", APP, required=True),
                parameter("environment", "An environment of the app, whose settings then hold; the app's own without it"),
                parameter(
                    "version",
                    "What to deploy: a branch, tag or whole commit, the {version} of a tarball or directory, or an image's "
                    "digest; what the configuration says without it",
                ),
                parameter("dry-run", "Say what would be done, step by step, and change nothing", type="boolean", default=False),
            ],
            "examples": [
                {"arguments": {"app-name": "web", "version": "v1.4.0", "dry-run": True}, "result": {"outcome": "planned"}},
            ],
        },
        {
            "name": "rollback",
            "title": "Go back to an earlier release",
            "description": "Switch an app to the release that ran before, or to a kept one by name, restart its units and "
            "check its health. What ran stays where that fails.",
            "annotations": ROLLS_BACK,
            "progress": True,
            "parameters": [
                parameter("app-name", APP, required=True),
                parameter("version", "A kept release, by its id, its version or its revision; the previous one without it"),
            ],
        },
        {
            "name": "status",
            "title": "What runs",
            "description": "Say what runs, since when, the state of its units, its health, its releases and last deploys: "
            "of one app, or of all.",
            "annotations": READS,
            "parameters": [parameter("app-name", APP + "; all apps without it")],
        },
        {
            "name": "history",
            "title": "Past deploys",
            "description": "List the deploys and rollbacks of an app, the newest first, with how each ended.",
            "annotations": READS,
            "parameters": [
                parameter("app-name", APP, required=True),
                parameter("limit", "How many to list", type="integer", default=20, minimum=1, maximum=1000),
            ],
        },
        {
            "name": "logs",
            "title": "Read an app's log",
            "description": "Read the last lines that the units of an app wrote to the journal.",
            "annotations": READS,
            "parameters": [
                parameter("app-name", APP, required=True),
                parameter("lines", "How many lines to read", type="integer", default=100, minimum=1, maximum=1000),
            ],
        },
        {
            "name": "apps",
            "title": "List the apps",
            "description": "List the apps of the configuration: where each comes from, its environments and its units.",
            "annotations": READS,
            "parameters": [],
        },
    ],
}
