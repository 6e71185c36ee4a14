"""The parts on their own: words, secrets, files, the command line; and the real library, where it is there."""

import asyncio
import contextlib
import importlib.util
import io
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.dirname(HERE)
sys.path.insert(0, PLUGIN)
sys.path.insert(0, HERE)

import cli  # noqa: E402
import contract  # noqa: E402
import login  # noqa: E402
import state  # noqa: E402
import talk  # noqa: E402
import telegram  # noqa: E402
import words  # noqa: E402
from fake import RECORDINGS, Client  # noqa: E402
from talk import Message, Trouble  # noqa: E402

SECRET = "AAabcdefghijklmnopqrstuvwxyz0123456"
PAIR = {"TELEGRAM_API_ID": "1", "TELEGRAM_API_HASH": "the-hash"}


def trouble(function, *arguments):
    try:
        function(*arguments)
    except Trouble as found:
        return str(found)
    return None


class Words(unittest.TestCase):
    def test_tokens_are_masked_and_other_numbers_are_not(self):
        for text, expected in (
            ("123456789:" + SECRET, "123456789:***"),
            ("a 123456789:{0}. b 987654321:{0}".format(SECRET), "a 123456789:***. b 987654321:***"),
            ("at 12:30:45 in row 1234567:short", "at 12:30:45 in row 1234567:short"),
        ):
            self.assertEqual(talk.masked(text), expected)

    def test_usernames(self):
        for text, expected in (("tetris_bot", "tetris_bot"), ("@TetrisBot", "TetrisBot"), ("tetris", None), ("abot", None),
                               ("1bot_bot", None), ("a b_bot", None), ("a" * 30 + "bot", None), ("tetris_bot\n", None)):
            found = trouble(words.username_of, text)
            self.assertEqual(found is None, expected is not None, text)
            if expected:
                self.assertEqual(words.username_of(text), expected)

    def test_names(self):
        for text, good in (("Tetris", True), (" ", False), ("a\nb", False), ("/start", False), ("a" * 65, False)):
            self.assertEqual(trouble(words.name_of, text) is None, good, text)

    def test_lists_of_commands(self):
        item = {"command": "start", "description": "Begin"}
        self.assertEqual(words.commands_text([item, {"command": "/help_me", "description": " Help "}]), "start - Begin\nhelp_me - Help")
        self.assertEqual(words.commands_text([]), "/empty")
        for commands, expected in (
            (["start"], "commands[0] is not"),
            ([{"command": "start"}], "commands[0] is not"),
            ([item, {**item, "command": "Start"}], "commands[1].command"),
            ([item, item], "a second time"),
            ([{**item, "description": "a\nb"}], "commands[0].description"),
            ([{**item, "description": 7}], "commands[0].description"),
            ([item] * 101, "at most 100"),
        ):
            self.assertIn(expected, trouble(words.commands_text, commands) or "nothing")

    def test_only_new_or_changed_messages_of_botfather_are_answers(self):
        one, two = Message(1, "one"), Message(2, "two")
        for before, after, expected in (
            ([two, one], [two, one], []),
            ([two, one], [Message(3, "mine", ours=True), two, one], []),
            ([two, one], [Message(4, "b"), Message(3, "a"), two, one], [3, 4]),
            ([two, one], [Message(2, "two", edited="now"), one], []),
            ([two, one], [Message(2, "changed"), one], [2]),
            ([two], [two, one], []),
            ([], [one], [1]),
        ):
            self.assertEqual([message.id for message in talk.answers(before, after)], expected)

    def test_a_button_is_named_in_one_way(self):
        for given, good in ((("A", None, None), True), ((None, 1, 1), True), ((None, None, None), False),
                            ((None, 1, None), False), (("A", 1, None), False), (("A", None, 1), False)):
            self.assertEqual(trouble(talk.asked_for, *given) is None, good, given)


class Files(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.environment = {"SMCP_STATE_DIR": held.name}
        self.session = os.path.join(held.name, state.SESSION)

    def test_a_session_is_private_or_refused(self):
        self.assertFalse(state.checked(self.session))
        state.make_private(self.session)
        self.assertEqual(stat.S_IMODE(os.stat(self.session).st_mode), 0o600)
        self.assertTrue(state.checked(self.session))
        for mode in (0o640, 0o604, 0o620):
            os.chmod(self.session, mode)
            self.assertIn("chmod 600", trouble(state.checked, self.session))

    def test_a_link_is_no_session(self):
        os.symlink("elsewhere", self.session)
        self.assertIn("not a regular file", trouble(state.checked, self.session))

    def test_the_session_is_for_one_process_at_a_time(self):
        def again():
            with state.held(self.environment):
                pass

        with state.held(self.environment):
            self.assertIn("another call or a login", trouble(again))
        self.assertIsNone(trouble(again))

    def test_a_token_is_kept_private_and_replaced_whole(self):
        directory = state.tokens_directory(self.environment)
        for token in ("1:one", "1:two"):
            path = state.keep_token(directory, "tetris_bot", token)
            with open(path) as file:
                self.assertEqual(file.read(), token + "\n")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(os.listdir(directory), ["tetris_bot.token"])

    def test_without_a_state_directory_there_is_an_error(self):
        self.assertIn("SMCP_STATE_DIR is not set", trouble(state.directory, {}))
        self.assertIn("is not there", trouble(state.directory, {"SMCP_STATE_DIR": "/nowhere/at/all"}))


class Library:
    """A library whose client plays what the test says; stands in for `telethon`."""

    __version__ = "0"

    def __init__(self, connect=None, known=True, script=(), chat=()):
        library, self.made = self, []

        class TelegramClient(Client):
            def __init__(self, session, api_id, api_hash, **keywords):
                for recording in RECORDINGS:
                    unknown = set(keywords) - set(recording["constructor"])
                    if unknown:
                        raise AssertionError("no such keyword: {}".format(unknown))
                super().__init__(RECORDINGS[0], script, chat)
                library.made.append(session)

            async def connect(self):
                if connect:
                    raise connect

            async def is_user_authorized(self):
                return known

            async def disconnect(self):
                library.made.append("closed")

        self.TelegramClient = TelegramClient
        self.sessions = mock.Mock(MemorySession=lambda: "memory")


class Commands(unittest.TestCase):
    """`cli.main` as the daemon runs it, with a library that is not there or plays a part."""

    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.environment = {"SMCP_STATE_DIR": held.name, **PAIR}
        state.make_private(os.path.join(held.name, state.SESSION))

    def call(self, *argv, library=None, environment=None):
        output = io.StringIO()
        with mock.patch.object(sys, "argv", ["cli.py", *argv]), mock.patch.dict(
            os.environ, environment or self.environment, clear=True
        ), contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
            # `None` in sys.modules is a module that cannot be imported, installed or not.
            with mock.patch.dict(sys.modules, {"telethon": library}):
                code = cli.main()
        return code, json.loads(output.getvalue())

    EACH = (
        ("click-button", "--msg-id=1", "--button-text=A"),
        ("send-message", "--message=hi"),
        ("list-messages",),
        ("new-bot", "--name=Tetris", "--username=tetris_bot"),
        ("set-commands", "--bot=tetris_bot", "--commands=[]"),
    )

    def test_without_the_library_each_command_names_the_way_to_it(self):
        for argv in self.EACH:
            code, answer = self.call(*argv)
            self.assertEqual((code, list(answer)), (1, ["error"]))
            self.assertIn("smcpctl plugin deps botfather", answer["error"])

    def test_where_telegram_cannot_be_reached_each_command_says_so_in_one_line(self):
        for argv in self.EACH:
            library = Library(connect=ConnectionError("Connection to Telegram failed 1 time(s)"))
            code, answer = self.call(*argv, library=library)
            self.assertEqual(code, 1)
            self.assertTrue(answer["error"].startswith("cannot reach Telegram: Connection to Telegram failed"), answer)
            self.assertNotIn("\n", answer["error"])
            self.assertEqual(library.made[-1], "closed")

    def test_without_credentials_or_session_each_command_says_what_is_missing(self):
        for argv in self.EACH:
            bare = {"SMCP_STATE_DIR": self.environment["SMCP_STATE_DIR"]}
            _, answer = self.call(*argv, library=Library(), environment=bare)
            self.assertIn("not set: TELEGRAM_API_ID and TELEGRAM_API_HASH", answer["error"])
            _, answer = self.call(*argv, library=Library(known=False))
            self.assertIn("session is not logged in", answer["error"])
            with tempfile.TemporaryDirectory() as empty:
                _, answer = self.call(*argv, library=Library(), environment={**PAIR, "SMCP_STATE_DIR": empty})
                self.assertIn("SMCP_STATE_DIR=" + empty, answer["error"])

    def test_a_call_goes_all_the_way(self):
        library = Library(script=[("say /mybots", [("new", "Choose a bot:", [["@tetris_bot"]])])], chat=[("Hi", None)])
        with mock.patch.object(telegram.asyncio, "sleep", new=no_sleep):
            code, answer = self.call("send-message", "--message=/mybots", library=library)
        self.assertEqual((code, answer["reply"]["buttons"][0][0]["text"]), (0, "@tetris_bot"))

    def test_login_needs_a_person(self):
        for more in ({"SMCP_CALL_ID": "7"}, {}):
            with mock.patch.object(sys, "stdin", io.StringIO()):
                code, answer = self.call("login", environment={**self.environment, **more})
            self.assertEqual(code, 1)
            self.assertIn("SMCP_STATE_DIR=" + self.environment["SMCP_STATE_DIR"], answer["error"])
            self.assertIn("cli.py login", answer["error"])
        self.assertIsNone(trouble(login.refuse_without_person, {}, "cli.py", True))
        self.assertIn("needs a person", trouble(login.refuse_without_person, {"SMCP_CALL_ID": "7"}, "cli.py", True))

    def test_login_asks_for_what_it_needs_and_makes_a_private_session(self):
        library, asked = Library(), []

        async def start(client, **callbacks):
            for recording in RECORDINGS:
                self.assertLessEqual(set(callbacks), set(recording["methods"]["start"]))
            print("Signed in successfully")
            asked.extend(callbacks[name]() for name in ("phone", "code_callback", "password"))

        library.TelegramClient.start = start
        with tempfile.TemporaryDirectory() as empty, contextlib.redirect_stderr(io.StringIO()) as said, mock.patch.dict(
            sys.modules, {"telethon": library}
        ), mock.patch("getpass.getpass", side_effect=["1", "the-hash", "+49170000", "12345", "word"]):
            answer = asyncio.run(login.log_in({"SMCP_STATE_DIR": empty}, "cli.py"))
            self.assertEqual(stat.S_IMODE(os.stat(answer["session"]).st_mode), 0o600)
        self.assertEqual((answer["logged_in"], asked), (True, ["+49170000", "12345", "word"]))
        self.assertIn("Signed in", said.getvalue())
        with mock.patch("getpass.getpass", return_value="123:token"):
            self.assertIn("not to bots", trouble(login.ask_phone))

    def test_status_never_fails_and_shows_no_value(self):
        secrets = {**self.environment, "TELEGRAM_PHONE": "+49170000", "TELEGRAM_API_ID": "424242"}
        for library, ready, service in (
            (None, False, {"asked": False}),
            (Library(), True, {"asked": True, "reachable": True, "logged_in": True}),
            (Library(known=False), False, {"asked": True, "reachable": True, "logged_in": False}),
        ):
            code, answer = self.call("status", library=library, environment=secrets)
            self.assertEqual((code, answer["ready"], answer["telegram"]), (0, ready, service))
            for value in ("the-hash", "424242", "+49170000"):
                self.assertNotIn(value, json.dumps(answer))
        code, answer = self.call("status", library=Library(connect=OSError("no route")), environment=secrets)
        self.assertEqual((code, answer["telegram"]["reachable"]), (0, False))
        code, answer = self.call("status", environment={"PATH": "/usr/bin"})
        self.assertEqual((code, answer["session"]["present"]), (0, False))

    def test_a_session_that_others_can_read_is_not_used(self):
        os.chmod(os.path.join(self.environment["SMCP_STATE_DIR"], state.SESSION), 0o644)
        library = Library()
        _, answer = self.call("list-messages", library=library)
        self.assertIn("chmod 600", answer["error"])
        self.assertEqual(library.made, [])
        _, answer = self.call("status", library=library)
        self.assertEqual((answer["session"]["private"], library.made), (False, ["memory", "closed"]))


async def no_sleep(_):
    return None


class CommandLine(unittest.TestCase):
    def started(self, *argv):
        return subprocess.run([sys.executable, "-S", os.path.join(PLUGIN, "cli.py"), *argv], capture_output=True,
                              text=True, timeout=60, check=False)

    def test_help_and_contract_need_no_library(self):
        self.assertEqual(json.loads(self.started("--describe").stdout), contract.CONTRACT)
        for command in contract.CONTRACT["commands"]:
            about = self.started(command["name"], "--help")
            self.assertEqual(about.returncode, 0, about.stderr)
            for parameter in command["parameters"]:
                self.assertIn("--" + parameter["name"], about.stdout)

    def test_what_is_not_a_value_is_refused(self):
        parser = contract.build_parser()
        for argv in (["list-messages", "--limit=0"], ["list-messages", "--limit=101"], ["click-button", "--msg-id=x"],
                     ["set-commands", "--bot=a_bot", "--commands={}"], ["send-message"]):
            with self.subTest(argv), contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                parser.parse_args(argv)


if importlib.util.find_spec("telethon"):

    class RealLibrary(unittest.TestCase):
        """The adapter on the library's own types. There is nothing to test where it is not installed."""

        def test_the_adapter_reads_real_messages(self):
            import record

            read = {name: telegram.message_of(message) for name, message in record.real_messages().items()}
            self.assertEqual((read["plain"].id, read["plain"].text, read["plain"].rows), (7, "Hello", ()))
            self.assertEqual([button.kind for button in read["inline"].rows[0]], ["callback", "url"])
            self.assertEqual(read["keyboard"].rows[0][0].kind, "text")
            self.assertIn("RequestPhone", read["keyboard"].rows[1][0].kind)

        def test_real_errors_are_words(self):
            from telethon import errors

            wait = errors.FloodWaitError(request=None, capture=42)
            self.assertEqual(telegram.flood_seconds(wait), 42)
            self.assertIn("log in again", str(telegram.explained(errors.AuthKeyUnregisteredError(request=None))))
            for name in telegram.STRANGE:
                self.assertTrue(hasattr(errors, name), name)

        def test_the_recording_is_what_the_library_is(self):
            import record

            found = record.record()
            same = [recording for recording in RECORDINGS if recording["version"] == found["version"]]
            for recording in same:
                self.assertEqual(json.loads(json.dumps(found)), recording)

        def test_a_session_that_is_none_is_one_line(self):
            with tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, state.SESSION)
                with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                    file.write("no database" * 100)
                output = io.StringIO()
                with mock.patch.object(sys, "argv", ["cli.py", "list-messages"]), mock.patch.dict(
                    os.environ, {"SMCP_STATE_DIR": directory, **PAIR}, clear=True
                ), contextlib.redirect_stdout(output):
                    self.assertEqual(cli.main(), 1)
            self.assertIn("the session file cannot be used", json.loads(output.getvalue())["error"])

        def test_a_real_client_is_made_and_closed_without_a_network(self):
            import telethon

            async def make():
                client = telegram.make_client(telethon, telethon.sessions.MemorySession(), 1, "hash")
                await client.disconnect()

            asyncio.run(make())


if __name__ == "__main__":
    unittest.main()
