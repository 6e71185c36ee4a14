"""Conversations with BotFather, as tables, played on the client's recorded shapes."""

import asyncio
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import flows  # noqa: E402
import telegram  # noqa: E402
from fake import Client, Clock, RECORDINGS, error  # noqa: E402
from talk import Trouble  # noqa: E402

TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"
ASKS_NAME = "Alright, a new bot. How are we going to call it? Please choose a name for your bot."
ASKS_USERNAME = "Good. Now let's choose a username for your bot. It must end in `bot`. Like this, for example: TetrisBot."
MADE = "Done! Congratulations on your new bot. Use this token to access the HTTP API:\n{}\nKeep it safe.".format(TOKEN)
TAKEN = "Sorry, this username is already taken. Please try something different."
TOO_MANY = "That I cannot do.\n\nYou come to me asking for more than 20 bots."
MENU = [["API Token", "Payments"], ["Bot Settings »"], [("Docs", "url")]]
CHAT = [("Hi", None), ("Here it is: @tetris_bot", MENU)]
OPENING = [("say /newbot", [("new", ASKS_NAME)]), ("say Tetris", [("new", ASKS_USERNAME)])]
BOT = {"name": "Tetris", "username": "tetris_bot", "show_token": False}
COMMANDS = {"bot": "tetris_bot", "text": "start - Begin", "number": 1}
CANCEL = ("say /cancel", [])


def fail(recording, name, **more):
    return ("fail", error(recording, name, **more))


# name, command, arguments, script, what the result holds (or the error's words), slept for a flood
CASES = [
    ("a new bot's token is kept, not shown", "new_bot", BOT, OPENING + [("say tetris_bot", [("new", MADE)])],
     {"username": "tetris_bot", "token_file": "kept", "link": "https://t.me/tetris_bot"}),
    ("a new bot's token is shown on request", "new_bot", {**BOT, "show_token": True},
     OPENING + [("say tetris_bot", [("new", MADE)])], {"token": TOKEN}),
    ("a username that is taken", "new_bot", BOT, OPENING + [("say tetris_bot", [("new", TAKEN)]), CANCEL],
     "the username `tetris_bot` is already taken; choose another"),
    ("too many bots", "new_bot", BOT, [("say /newbot", [("new", TOO_MANY)]), CANCEL], "as many bots as Telegram allows"),
    ("too many attempts", "new_bot", BOT,
     [("say /newbot", [("new", "Sorry, too many attempts. Please try again in 8 seconds.")]), CANCEL], "try again in 8 seconds"),
    ("words that are not known", "new_bot", BOT, [("say /newbot", [("new", "Hello\nthere " + TOKEN)]), CANCEL],
     "not one that is known: Hello there 123456789:***"),
    ("no answer to the username", "new_bot", BOT, OPENING + [("say tetris_bot", [])], "may have been made"),
    ("commands are set", "set_commands", COMMANDS,
     [("say /setcommands", [("new", "Choose a bot to change the list of commands.", [[("@tetris_bot", "keyboard")]])]),
      ("say @tetris_bot", [("new", "OK. Send me a list of commands for your bot.")]),
      ("say start - Begin", [("new", "Success! Command list updated. /help")])],
     {"bot": "tetris_bot", "commands": 1, "answer": "Success! Command list updated. /help"}),
    ("commands of a bot that is not ours", "set_commands", COMMANDS,
     [("say /setcommands", [("new", "Choose a bot to change the list of commands.")]),
      ("say @tetris_bot", [("new", "Invalid bot selected.")]), CANCEL], "knows no bot `tetris_bot`"),
    ("commands without any bot", "set_commands", COMMANDS,
     [("say /setcommands", [("new", "You don't have any bots yet.")]), CANCEL], "the account has no bots"),
    ("a click answered by an edit", "click_button", {"button_text": "Payments"},
     [("click Payments", [("edit", 101, "Payment providers", [["Stripe"], ["« Back"]])])],
     {"how": "edited", "reply.id": 101, "reply.text": "Payment providers", "clicked": {"text": "Payments", "row": 1, "column": 2}}),
    ("a click answered by a message", "click_button", {"button_text": "Payments"},
     [("click Payments", [("new", "Payment providers", [["Stripe"]])])],
     {"how": "new", "reply.id": 102, "reply.buttons": [[{"text": "Stripe", "row": 1, "column": 1, "kind": "callback"}]]}),
    ("a click answered by both", "click_button", {"button_text": "Payments"},
     [("click Payments", [("edit", 101, "Wait", None), ("new", "Done", None)])], {"how": "new", "reply.text": "Done"}),
    ("a click by row and column", "click_button", {"row": 2, "column": 1},
     [("click Bot Settings »", [("edit", 101, "Settings", [["« Back"]])])], {"reply.text": "Settings"}),
    ("a text that a person reads the same", "click_button", {"button_text": "bot settings"},
     [("click Bot Settings »", [("edit", 101, "Settings", None)])], {"reply.text": "Settings"}),
    ("a click that only shows a notice", "click_button", {"button_text": "Payments"},
     [("click Payments", [("notice", "Saved")])], {"notice": "Saved", "reply": None}),
    ("a click on a link leads nowhere by itself", "click_button", {"button_text": "Docs"}, [],
     {"url": "https://example.org/", "reply": None}),
    ("a token behind a button is masked", "click_button", {"button_text": "API Token"},
     [("click API Token", [("edit", 101, "The token: " + TOKEN, None)])], {"reply.text": "The token: 123456789:***", "reply.masked": True}),
    ("a click without an answer", "click_button", {"button_text": "Payments"}, [("click Payments", [])],
     "was clicked, and BotFather did not answer within 20 seconds"),
    ("a button that is not there, with one like it", "click_button", {"button_text": "Payment"}, [],
     "has no button `Payment`; did you mean `Payments`?"),
    ("a button that is not there, with none like it", "click_button", {"button_text": "Zzz"}, [],
     "it has `API Token`, `Payments`, `Bot Settings »`, `Docs`"),
    ("a row that is not there", "click_button", {"row": 4, "column": 1}, [], "has no row 4: it has 3 rows"),
    ("a column that is not there", "click_button", {"row": 2, "column": 2}, [], "has no column 2: it has 1 button"),
    ("a message that is not there", "click_button", {"msg_id": 999, "button_text": "Payments"}, [], "has no message 999"),
    ("a message without buttons", "click_button", {"msg_id": 100, "button_text": "Payments"}, [], "100 has no buttons"),
    ("a text and its answer", "send_message", {"message": "/mybots"},
     [("say /mybots", [("new", "Choose a bot:", [["@tetris_bot"]])])], {"how": "new", "reply.text": "Choose a bot:"}),
    ("a text and two answers", "send_message", {"message": "/help"}, [("say /help", [("new", "One"), ("new", "Two")])],
     {"reply.text": "Two", "others.0.text": "One"}),
    ("a text answered by an edit", "send_message", {"message": "5"}, [("say 5", [("edit", 101, "Five", None)])],
     {"how": "edited", "reply.id": 101, "reply.text": "Five"}),
    ("a text without an answer", "send_message", {"message": "hi"}, [("say hi", [])], "did not answer within 20 seconds"),
    ("an empty text", "send_message", {"message": " "}, [], "the message is empty"),
]


def at(result, path):
    for step in path.split("."):
        result = result[int(step) if step.isdigit() else step]
    return result


def play(recording, command, arguments, script, chat=CHAT, **how):
    """Runs a command on a client that plays the script; returns the result, or the trouble's words, with client and clock."""
    client, clock = Client(recording, script, chat, **how), Clock()
    arguments = dict(arguments)
    if command == "click_button":
        arguments = {"msg_id": 101, "button_text": None, "row": None, "column": None, "timeout": 20, **arguments}
    if command == "send_message":
        arguments.setdefault("timeout", 20)
    if command in ("new_bot", "set_commands"):
        arguments["progress"] = lambda *_: None
    if command == "new_bot":
        arguments.setdefault("keep", lambda token: "kept" if token == TOKEN else "a wrong token")

    async def talk():
        return await getattr(flows, command)(telegram.Chat(client, clock.sleep, clock.time), **arguments)

    try:
        return asyncio.run(talk()), client, clock
    except Trouble as trouble:
        return str(trouble), client, clock


class Conversations(unittest.TestCase):
    def each(self):
        self.assertEqual(len(RECORDINGS), 2)
        for recording in RECORDINGS:
            yield recording

    def test_the_table(self):
        for recording in self.each():
            for name, command, arguments, script, expected in CASES:
                with self.subTest(name, version=recording["version"]):
                    result, client, _ = play(recording, command, arguments, script)
                    self.assertEqual(client.script, [], "the script was not played to its end: {}".format(result))
                    if isinstance(expected, str):
                        self.assertIsInstance(result, str)
                        self.assertIn(expected, result)
                        self.assertNotIn("\n", result)
                        continue
                    self.assertIsInstance(result, dict)
                    for path, value in expected.items():
                        self.assertEqual(at(result, path), value, path)

    def test_a_slow_answer_is_waited_for(self):
        for recording in self.each():
            result, _, clock = play(recording, "send_message", {"message": "hi"}, [("say hi", [("new", "Hello")])], delay=8)
            self.assertEqual(result["reply"]["text"], "Hello")
            self.assertLess(clock.now, 20)

    def test_a_message_far_back_can_be_clicked(self):
        for recording in self.each():
            chat = CHAT + [("noise {}".format(number), None) for number in range(30)]
            script = [("click Payments", [("edit", 101, "Payment providers", None)])]
            result, _, _ = play(recording, "click_button", {"button_text": "Payments"}, script, chat)
            self.assertEqual((result["how"], result["reply"]["id"]), ("edited", 101))

    def test_a_keyboard_button_sends_its_text_and_one_that_shares_a_phone_is_left_alone(self):
        for recording in self.each():
            chat = [("Hi", None), ("Choose", [[("@tetris_bot", "keyboard"), ("Share phone", "phone")]])]
            script = [("say @tetris_bot", [("new", "What now?")])]
            result, _, _ = play(recording, "click_button", {"button_text": "@tetris_bot"}, script, chat)
            self.assertEqual(result["reply"]["text"], "What now?")
            result, client, _ = play(recording, "click_button", {"button_text": "Share phone"}, [], chat)
            self.assertIn("RequestPhone, which only a person should press", result)
            self.assertEqual(client.said, [])

    def test_two_buttons_of_one_name_need_a_place(self):
        for recording in self.each():
            result, _, _ = play(recording, "click_button", {"button_text": "Edit"}, [], [("Hi", None), ("Menu", [["Edit"], ["Edit"]])])
            self.assertIn("2 buttons are called `Edit`: row 1 column 1, row 2 column 1; give row and column", result)

    def test_a_short_flood_wait_is_waited_out_and_a_long_one_told(self):
        for recording in self.each():
            short = [("say hi", [fail(recording, "FloodWaitError", seconds=3)]), ("say hi", [("new", "Hello")])]
            result, _, clock = play(recording, "send_message", {"message": "hi"}, short)
            self.assertEqual(result["reply"]["text"], "Hello")
            self.assertIn(3, clock.slept)
            long = [("say hi", [fail(recording, "FloodWaitError")])]
            result, client, clock = play(recording, "send_message", {"message": "hi"}, long)
            self.assertEqual(result, "Telegram asks for a pause of 42 seconds; try again after that")
            self.assertEqual((client.said, clock.slept), (["hi"], []))

    def test_a_lost_connection_is_one_line_and_nothing_is_sent_twice(self):
        for recording in self.each():
            for broken in (ConnectionError("Connection to\nTelegram failed"), OSError(101, "Network is unreachable"),
                           asyncio.TimeoutError(), EOFError("0 bytes read")):
                result, client, _ = play(recording, "send_message", {"message": "hi"}, [("say hi", [("fail", broken)])])
                self.assertTrue(result.startswith("cannot reach Telegram: "), result)
                self.assertNotIn("\n", result)
                self.assertEqual(client.said, ["hi"])

    def test_telegrams_own_errors_are_words(self):
        expected = {"PeerFloodError": "@SpamBot", "AuthKeyUnregisteredError": "log in again",
                    "ApiIdInvalidError": "does not accept TELEGRAM_API_ID", "MessageIdInvalidError": "Telegram refuses: The specified"}
        for recording in self.each():
            for name, words in expected.items():
                result, _, _ = play(recording, "send_message", {"message": "hi"}, [("say hi", [fail(recording, name)])])
                self.assertIn(words, result)

    def test_a_token_that_cannot_be_written_is_told_where_it_stands(self):
        def keep(_):
            raise OSError(28, "No space left on device")

        for recording in self.each():
            result, _, _ = play(recording, "new_bot", {**BOT, "keep": keep}, OPENING + [("say tetris_bot", [("new", MADE)])])
            self.assertIn("was made, but its token could not be written: No space left", result)
            self.assertNotIn(TOKEN, result)

    def test_listed_messages_are_masked_and_newest_first(self):
        for recording in self.each():
            result, _, _ = play(recording, "list_messages", {"limit": 2}, [], [("Old", None), ("Token " + TOKEN, None), ("New", MENU)])
            self.assertEqual([one["text"] for one in result["messages"]], ["New", "Token 123456789:***"])
            self.assertNotIn(TOKEN, str(result))


if __name__ == "__main__":
    unittest.main()
