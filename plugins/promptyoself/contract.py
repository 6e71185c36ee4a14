"""The one description of this plugin: `--describe` prints it and the parser is built from it."""

LOOKS = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}
ASKS = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": True}
ADDS = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": True}
ENDS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": False}
REPLACES = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": True}


def text(name, description, **more):
    return {"name": name, "type": "string", "description": description, "required": False, **more}


def number(name, description, **more):
    return {"name": name, "type": "integer", "description": description, "required": False, **more}


def flag(name, description):
    return {"name": name, "type": "boolean", "description": description, "required": False, "default": False,
            "action": "store_true"}


CONTRACT = {
    "contract_version": "1.1",
    "plugin": {
        "name": "promptyoself",
        "title": "Prompt yourself",
        "version": "1.0.0",
        "description": "Schedule prompts for Letta agents: once, by cron or at an interval.",
        "env": [
            {"name": "LETTA_BASE_URL", "description": "Letta's address, as in http://127.0.0.1:8283", "required": False},
            {"name": "LETTA_SERVER_URL", "description": "The same, where LETTA_BASE_URL is not set", "required": False},
            {"name": "LETTA_API_KEY", "description": "The key that Letta asks for", "required": False, "secret": True},
            {"name": "LETTA_SERVER_PASSWORD", "description": "The password of a self-hosted Letta, where LETTA_API_KEY is not set",
             "required": False, "secret": True},
            {"name": "LETTA_AGENT_ID", "description": "The agent, where neither --agent-id nor the client names one",
             "required": False},
            {"name": "PROMPTYOSELF_TIMEOUT", "description": "Seconds that an agent may take to answer a prompt, 120 unless set",
             "required": False},
        ],
    },
    "commands": [
        {
            "name": "register",
            "title": "Schedule a prompt",
            "description": "Schedule a prompt for an agent: once (--time), by cron (--cron) or at an interval (--every).",
            "annotations": ADDS,
            "parameters": [
                text("agent-id", "The agent to prompt; the calling agent unless given"),
                text("prompt", "What to tell the agent", required=True),
                text("time", "When, once: ISO 8601 as in 2030-05-01T09:00:00, or seconds since 1970"),
                text("cron", "When, again and again: minute, hour, day, month, weekday, as in `0 9 * * 1-5`"),
                text("every", "How often: a number and s, m, h or d, as in 15m"),
                number("max-repetitions", "How many times at most; without end unless given", minimum=1),
                text("start-at", "Not before this time, and from it on with --every; ISO 8601 or seconds since 1970"),
                text("end-at", "Not due after this time; ISO 8601 or seconds since 1970"),
                text("timezone", "The IANA time zone of --cron and of times without an offset, as in Europe/Berlin",
                     default="UTC"),
                flag("skip-validation", "Do not ask Letta whether the agent exists"),
            ],
            "exclusive_groups": [{"required": True, "parameters": ["time", "cron", "every"]}],
            "examples": [{"arguments": {"prompt": "Read the mail", "cron": "0 9 * * 1-5", "timezone": "Europe/Berlin"}}],
        },
        {
            "name": "list",
            "title": "List schedules",
            "description": "List the active schedules with the time that each is due next.",
            "annotations": LOOKS,
            "parameters": [
                text("agent-id", "Only those of this agent; of all agents unless given"),
                flag("all", "Also those that are done or cancelled"),
            ],
        },
        {
            "name": "show",
            "title": "Show a schedule",
            "description": "Show one schedule and its last deliveries.",
            "annotations": LOOKS,
            "parameters": [number("id", "The schedule's id, from list", required=True, minimum=1)],
        },
        {
            "name": "cancel",
            "title": "Cancel a schedule",
            "description": "End a schedule; what waits to be delivered for it is given up too.",
            "annotations": ENDS,
            "parameters": [number("id", "The schedule's id, from list", required=True, minimum=1)],
        },
        {
            "name": "execute",
            "title": "Deliver what is due",
            "description": "Deliver all prompts that are due, each once, and end. A timer calls this each minute.",
            "annotations": ADDS,
            "progress": True,
            "parameters": [
                flag("loop", "Go on for ever; only on a command line, a call is refused"),
                number("interval", "Seconds between the rounds of --loop", minimum=1, maximum=86400, default=60),
            ],
        },
        {
            "name": "test",
            "title": "Test the connection",
            "description": "Say whether Letta answers, which version it is and whether it takes the key.",
            "annotations": ASKS,
            "parameters": [],
        },
        {
            "name": "agents",
            "title": "List agents",
            "description": "List the id and name of Letta's agents, up to 1000.",
            "annotations": ASKS,
            "parameters": [],
        },
        {
            "name": "history",
            "title": "Show deliveries",
            "description": "Show deliveries, the newest first: delivered, waiting for another try, and dead ones with their error.",
            "annotations": LOOKS,
            "parameters": [
                number("id", "Only those of this schedule", minimum=1),
                number("limit", "How many at most", minimum=1, maximum=1000, default=50),
            ],
        },
        {
            "name": "upload",
            "title": "Upload a tool",
            "description": "Give Letta a tool in Python source code, or replace the one of its name.",
            "annotations": REPLACES,
            "parameters": [
                text("source-code", "The source of one documented Python function; its name is the tool's", required=True),
                text("name", "The tool's expected name: refused where the function is called otherwise"),
                text("description", "What the tool does; the function's docstring unless given"),
            ],
        },
    ],
}
