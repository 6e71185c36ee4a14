"""The plugins of this directory, run as the daemon runs them but without it.

    python3 -m unittest discover -s tests/conformance
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGINS = os.path.join(HERE, "plugins")
TOOLS = {
    "content": {
        "json_schema_2020_12_tool",
        "test_audio_content",
        "test_embedded_resource",
        "test_error_handling",
        "test_image_content",
        "test_logging_tool",
        "test_multiple_content_types",
        "test_reconnection",
        "test_simple_text",
        "test_tool_with_logging",
        "test_tool_with_progress",
        "test_x_mcp_header",
    },
    "asking": {
        "test_elicitation",
        "test_elicitation_sep1034_defaults",
        "test_elicitation_sep1330_enums",
        "test_input_required_result_capabilities",
        "test_input_required_result_elicitation",
        "test_input_required_result_list_roots",
        "test_input_required_result_multi_round",
        "test_input_required_result_multiple_inputs",
        "test_input_required_result_request_state",
        "test_input_required_result_sampling",
        "test_input_required_result_tampered_state",
        "test_missing_capability",
        "test_sampling",
        "test_streaming_elicitation",
    },
    "tasks": {
        "confirm_delete",
        "failing_job",
        "greet",
        "multi_input",
        "protocol_error_job",
        "slow_compute",
        "test_tool_with_task",
    },
    "offers": {"test_trigger_prompt_change", "test_trigger_tool_change"},
}
ELICIT, SAMPLE, ROOTS = "elicitation/create", "sampling/createMessage", "roots/list"
SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "Paris"}, "model": "m", "stopReason": "endTurn"}
LISTED = {"roots": [{"uri": "file:///test/root", "name": "Test Root"}]}


def accept(**content):
    return {"action": "accept", "content": content}


def environment(**more):
    # Not what `python3` is called on the PATH, which may be a shim.
    path = os.pathsep.join([os.path.dirname(os.path.realpath(sys.executable)), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "PYTHONUNBUFFERED": "1", **more}


def run(plugin, *words, stdin="", directory=PLUGINS, **variables):
    program = os.path.join(directory, plugin, "cli" if plugin == "changing" else "cli.py")
    return subprocess.run(
        [program, *words], input=stdin, capture_output=True, text=True, timeout=30, env=environment(**variables)
    )


class Case(unittest.TestCase):
    def answer(self, plugin, *words, status=0, **more):
        """What a command answered: its JSON, else its text."""
        done = run(plugin, *words, **more)
        self.assertEqual(done.returncode, status, done)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout.strip()

    def said(self, *arguments, **more):
        content = self.answer(*arguments, **more)["content"]
        self.assertEqual([block["type"] for block in content], ["text"])
        return content[0]["text"]

    def asked(self, *arguments, **more):
        """What a command asks: the methods by their keys, and its state."""
        answer = self.answer(*arguments, **more)
        for question in answer["input_required"].values():
            self.assertEqual(sorted(question), ["method", "params"])
        return {key: asked["method"] for key, asked in answer["input_required"].items()}, answer.get("state")


def answered(responses, state=None):
    return json.dumps({"responses": responses, "state": state})


class Contracts(Case):
    def test_every_tool_is_there_with_a_description_under_its_own_name(self):
        for plugin, tools in TOOLS.items():
            contract = self.answer(plugin, "--describe")
            self.assertEqual({command["tool_name"] for command in contract["commands"]}, tools, plugin)
            self.assertTrue(contract["plugin"]["description"])
            for command in contract["commands"]:
                self.assertTrue(command["description"], command["name"])

    def test_every_offer_is_there_with_exactly_one_source(self):
        contract = self.answer("offers", "--describe")
        uris = ["test://static-text", "test://static-binary", "test://watched-resource"]
        self.assertEqual([one["uri"] for one in contract["resources"]], uris)
        for one in contract["resources"]:
            self.assertEqual(len({"text", "blob", "file", "command"} & set(one)), 1, one)
            self.assertTrue(one["name"] and one["description"])
        self.assertEqual([one["uriTemplate"] for one in contract["resource_templates"]], ["test://template/{id}/data"])
        prompts = contract["prompts"] + self.answer("asking", "--describe")["prompts"]
        names = ["simple_prompt", "prompt_with_arguments", "prompt_with_embedded_resource", "prompt_with_image"]
        names = [f"test_{name}" for name in [*names, "input_required_result_prompt"]]
        self.assertEqual([one["name"] for one in prompts], names)
        for one in prompts:
            self.assertEqual(len({"messages", "command"} & set(one)), 1, one)
            self.assertTrue(one["description"])

    def test_tasks_say_whether_they_must_be(self):
        said = {command["name"]: command.get("task") for command in self.answer("tasks", "--describe")["commands"]}
        required = {name for name, task in said.items() if task == "required"}
        self.assertEqual(required, {"failing_job", "test_tool_with_task"})
        self.assertEqual([name for name, task in said.items() if task is None], ["greet"])

    def test_the_contract_beside_changing_is_json_and_steady(self):
        with open(os.path.join(PLUGINS, "changing", "contract.json"), encoding="utf-8") as file:
            contract = json.load(file)
        self.assertEqual([command["tool_name"] for command in contract["commands"]], ["changing_offers"])

    def test_an_unknown_command_is_an_error(self):
        for plugin in (*TOOLS, "changing"):
            self.assertIn("error", self.answer(plugin, "nothing", status=1))


class Content(Case):
    def test_text_and_blocks(self):
        self.assertEqual(
            self.answer("content", "test_simple_text"), "This is a simple text response for testing."
        )
        for name, kinds in {
            "test_image_content": ["image"],
            "test_audio_content": ["audio"],
            "test_embedded_resource": ["resource"],
            "test_multiple_content_types": ["text", "image", "resource"],
        }.items():
            content = self.answer("content", name)["content"]
            self.assertEqual([block["type"] for block in content], kinds)

    def test_arguments(self):
        self.assertEqual(self.said("content", "test_x_mcp_header", "--region==?base64?SGVs"), "Region: =?base64?SGVs")
        self.assertIn("x@y", self.said("content", "json_schema_2020_12_tool", stdin='{"email": "x@y"}'))

    def test_a_failure(self):
        error = self.answer("content", "test_error_handling", status=1)
        self.assertEqual(error, {"error": "This tool intentionally returns an error for testing"})

    def test_progress_and_log_lines(self):
        lines = run("content", "test_tool_with_progress").stderr.splitlines()
        self.assertEqual([json.loads(line)["progress"] for line in lines], [0, 50, 100])
        lines = run("content", "test_tool_with_logging").stderr.splitlines()
        self.assertEqual(
            lines, ["Tool execution started", "Tool processing data", "Tool execution completed"]
        )


class Asking(Case):
    def tool(self, name, responses=None, state=None, **more):
        """One round: what it says, or what it asks."""
        if responses is not None:
            more["SMCP_INPUT"] = answered(responses, state)
        answer = self.answer("asking", f"test_{name}", **more)
        if "content" in answer:
            return answer["content"][0]["text"]
        return {key: question["method"] for key, question in answer["input_required"].items()}, answer.get("state")

    def test_forms_and_sampling(self):
        prompt = {"stdin": '{"prompt": "Hi"}'}
        self.assertEqual(self.tool("sampling", **prompt), ({"answer": SAMPLE}, None))
        self.assertEqual(self.tool("sampling", {"answer": SAMPLED}, **prompt), "LLM response: Paris")
        message = {"stdin": '{"message": "Who are you?"}'}
        self.assertEqual(self.tool("elicitation", **message), ({"form": ELICIT}, None))
        said = self.tool("elicitation", {"form": accept(username="u")}, **message)
        self.assertEqual(said, 'User response: action=accept, content={"username": "u"}')
        for name in ("elicitation_sep1034_defaults", "elicitation_sep1330_enums", "streaming_elicitation"):
            self.assertEqual(self.tool(name), ({"form": ELICIT}, None))
            said = self.tool(name, {"form": {"action": "decline"}})
            self.assertEqual(said, "Elicitation completed: action=decline, content=null")

    def test_a_name_is_asked_for_until_it_is_one(self):
        asked = {"user_name": ELICIT}, None
        name = "input_required_result_elicitation"
        self.assertEqual(self.tool(name), asked)
        for answer in (12345, None, [], {}, {"action": "accept"}, accept(name=7), accept(name=""), accept(other="x")):
            self.assertEqual(self.tool(name, {"user_name": answer}), asked, answer)
        self.assertEqual(self.tool(name, {"wrong_key": accept(data="wrong")}), asked)
        more = {"unknown": accept(foo="bar"), "user_name": accept(name="Alice")}
        self.assertEqual(self.tool(name, more), "Hello, Alice!")
        self.assertEqual(self.tool(name, {"user_name": {"action": "decline"}}), "No name was given.")

    def test_sampling_roots_and_a_capability(self):
        name = "input_required_result_sampling"
        self.assertEqual(self.tool(name), ({"capital_question": SAMPLE}, None))
        self.assertEqual(self.tool(name, {"capital_question": SAMPLED}), "Paris")
        several = {**SAMPLED, "content": [SAMPLED["content"]]}
        self.assertEqual(self.tool(name, {"capital_question": several}), "Paris")
        name = "input_required_result_list_roots"
        self.assertEqual(self.tool(name), ({"client_roots": ROOTS}, None))
        self.assertEqual(self.tool(name, {"client_roots": LISTED}), "Roots: Test Root")
        self.assertEqual(self.tool("missing_capability"), ({"answer": SAMPLE}, None))

    def test_a_confirmation_needs_its_state(self):
        for name in ("input_required_result_request_state", "input_required_result_tampered_state"):
            asked = {"confirm": ELICIT}, {"asked": True}
            self.assertEqual(self.tool(name), asked)
            self.assertEqual(self.tool(name, {"confirm": accept(ok=True)}), asked)
            self.assertEqual(self.tool(name, {"confirm": accept(ok=True)}, {"asked": True}), "state-ok")

    def test_three_questions_at_once(self):
        name = "input_required_result_multiple_inputs"
        methods, state = self.tool(name)
        self.assertEqual(methods, {"user_name": ELICIT, "greeting": SAMPLE, "client_roots": ROOTS})
        responses = {"user_name": accept(name="Alice"), "greeting": SAMPLED}
        self.assertEqual(self.tool(name, responses, state)[0], methods)
        said = self.tool(name, {**responses, "client_roots": LISTED}, state)
        self.assertEqual(said, "Paris Alice, with 1 roots")

    def test_a_second_round_knows_of_the_first_by_its_state(self):
        name = "input_required_result_multi_round"
        methods, first = self.tool(name)
        self.assertEqual(methods, {"step1": ELICIT})
        methods, second = self.tool(name, {"step1": accept(name="Alice")}, first)
        self.assertEqual(methods, {"step2": ELICIT})
        self.assertNotEqual(first, second)
        self.assertEqual(self.tool(name, {}, second), (methods, second))
        self.assertEqual(self.tool(name, {"step2": accept(color="blue")}, second), "Alice likes blue")

    def test_only_what_the_client_declared_is_asked(self):
        name = "input_required_result_capabilities"

        def asked(**declared):
            return self.tool(name, SMCP_CLIENT_CAPABILITIES=json.dumps(declared))

        self.assertEqual(asked(sampling={}), ({"sampling": SAMPLE}, None))
        self.assertEqual(asked(elicitation={}, roots={}), ({"elicitation": ELICIT, "roots": ROOTS}, None))
        self.assertEqual(asked(), "Nothing is left to ask this client for.")

    def test_the_prompt_asks_too(self):
        self.assertEqual(self.asked("asking", "prompt"), ({"user_context": ELICIT}, None))
        answer = self.answer("asking", "prompt", SMCP_INPUT=answered({"user_context": accept(context="test context")}))
        self.assertIn("test context", answer["messages"][0]["content"]["text"])


class Tasks(Case):
    def test_those_that_only_work(self):
        self.assertEqual(self.said("tasks", "greet", stdin='{"name": "World"}'), "Hello, World!")
        self.assertIn("x in 0.1", self.said("tasks", "slow_compute", stdin='{"seconds": 0.1, "label": "x"}'))
        self.said("tasks", "slow_compute", stdin="{}")
        self.assertIn("error", self.answer("tasks", "failing_job", stdin="{}", status=1))

    def test_those_that_ask(self):
        file = '{"filename": "f.txt"}'
        self.assertEqual(self.asked("tasks", "confirm_delete", stdin=file), ({"confirmation": ELICIT}, None))
        for answer, word in ((accept(confirm=True), "would be deleted"), ({"action": "cancel"}, "is kept")):
            given = answered({"confirmation": answer})
            self.assertIn(word, self.said("tasks", "confirm_delete", stdin=file, SMCP_INPUT=given))
        both = {"name": ELICIT, "color": ELICIT}
        self.assertEqual(self.asked("tasks", "multi_input", stdin="{}"), (both, None))
        given = answered({"name": accept(confirm=True), "color": accept(confirm=True)})
        self.said("tasks", "multi_input", stdin="{}", SMCP_INPUT=given)
        self.assertEqual(self.asked("tasks", "protocol_error_job", stdin="{}"), ({"client_roots": ROOTS}, None))
        self.assertEqual(self.asked("tasks", "test_tool_with_task", stdin="{}"), ({"user_name": ELICIT}, None))
        given = answered({"user_name": accept(name="Alice")})
        self.assertIn("Alice", self.said("tasks", "test_tool_with_task", stdin="{}", SMCP_INPUT=given))


class Offers(Case):
    def test_a_template_is_filled(self):
        uri = "test://template/123/data"
        content = self.answer("offers", "template", f"--uri={uri}", "--id=123")["contents"][0]
        self.assertEqual((content["uri"], content["mimeType"]), (uri, "application/json"))
        expected = {"id": "123", "templateTest": True, "data": "Data for ID: 123"}
        self.assertEqual(json.loads(content["text"]), expected)

    def test_values_are_completed(self):
        def values(ref, argument, value):
            words = [f"--ref={ref}", f"--argument={argument}", f"--value={value}", "--context={}"]
            return self.answer("offers", "complete", *words)["values"]

        self.assertEqual(values("prompt:test_prompt_with_arguments", "arg1", "testi"), ["testing"])
        self.assertEqual(values("resource:test://template/{id}/data", "id", "12"), ["12", "123"])
        self.assertEqual(values("prompt:other", "arg1", ""), [])

    def test_a_tool_and_a_prompt_come_and_go(self):
        with tempfile.TemporaryDirectory() as directory:
            programs, links = (os.path.join(directory, name) for name in ("programs", "plugins"))
            shutil.copytree(PLUGINS, programs)
            os.mkdir(links)
            # Linked elsewhere, as plugins are.
            os.symlink(os.path.join(programs, "offers"), os.path.join(links, "offers"))

            def offered():
                with open(os.path.join(programs, "changing", "contract.json"), encoding="utf-8") as file:
                    contract = json.load(file)
                return len(contract["commands"]), len(contract["prompts"])

            self.assertEqual(offered(), (1, 0))
            for what, said, then in (
                ("tool", "A tool came", (2, 0)),
                ("prompt", "A prompt came", (2, 1)),
                ("tool", "A tool went", (1, 1)),
                ("prompt", "A prompt went", (1, 0)),
            ):
                self.assertEqual(self.answer("offers", f"test_trigger_{what}_change", directory=links), said)
                self.assertEqual(offered(), then)
            self.assertEqual(sorted(os.listdir(os.path.join(programs, "changing"))), ["cli", "contract.json"])
        for word in ("offers", "visit"):
            self.assertEqual(run("changing", word).returncode, 0)


class Speed(Case):
    def test_how_long_a_simple_tool_takes(self):
        """Printed and not judged: the machine may be busy."""
        for plugin, word, stdin in (
            ("content", "test_simple_text", ""),
            ("content", "test_logging_tool", ""),
            ("asking", "test_streaming_elicitation", ""),
            ("tasks", "greet", '{"name": "World"}'),
            ("offers", "complete", ""),
        ):
            words = [word] if word != "complete" else [word, "--ref=", "--argument=", "--value="]
            took = []
            for _ in range(5):
                began = time.monotonic()
                self.assertEqual(run(plugin, *words, stdin=stdin).returncode, 0)
                took.append(time.monotonic() - began)
            print(f"{plugin} {word}: {min(took) * 1000:.0f} ms at best, {max(took) * 1000:.0f} ms at worst")


if __name__ == "__main__":
    unittest.main()
