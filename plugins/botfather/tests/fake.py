"""A client as Telethon makes it, from the recorded shapes, that plays a script of a conversation.

It refuses whatever the recording does not know: an attribute of a message or a button, a keyword of a method.
"""

import datetime
import glob
import json
import os
import types as plain_types

HERE = os.path.dirname(os.path.abspath(__file__))


def recordings():
    for path in sorted(glob.glob(os.path.join(HERE, "recorded", "telethon-*.json"))):
        with open(path) as file:
            yield json.load(file)


RECORDINGS = list(recordings())


def error(recording, name, **more):
    """Returns an error with the classes, the text and the attributes that the real one has."""
    known = recording["errors"][name]
    kind = Exception
    for base in reversed(known["classes"][: known["classes"].index("Exception")]):
        kind = type(base, (kind,), {})
    made = kind(known["text"])
    if known["seconds"] is not None:
        made.seconds = more.get("seconds", known["seconds"])
    return made


class Unrecorded(BaseException):
    """What the recording or the script does not know. No `except Exception` of the plugin can hide it."""


def known_or_fail(good, text, *parts):
    if not good:
        raise Unrecorded(text.format(*parts))


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def time(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Thing:
    """An object of which only what was recorded can be read."""

    def __init__(self, recorded, **values):
        unknown = set(values) - set(recorded["attributes"])
        known_or_fail(not unknown, "not recorded: {}", unknown)
        self.__dict__.update(values, recorded=recorded["attributes"])

    def __getattr__(self, name):
        known_or_fail(name not in self.__dict__["recorded"], "the real one has `{}`, the fake not yet", name)
        raise AttributeError(name)


def button(client, recording, message_id, text, kind="inline"):
    column = {"inline": 0, "url": 1, "keyboard": 0, "phone": 1}[kind]
    rows = recording["messages"]["inline" if kind in ("inline", "url") else "keyboard"]["buttons"]
    known = rows[0][column] if kind in ("inline", "url") else rows[column][0]
    inner = type(known["inner"], (), {})()
    if known["type"]:
        inner.type = type(known["type"], (), {})()

    async def click():
        return await client.clicked(message_id, text)

    data = known["data"] and known["data"].encode()
    return Thing(known, button=inner, text=text, data=data, url=known["url"], click=click)


class Client:
    """`script` is a list of `(what we do, what happens then)`.

    We `"say TEXT"` or `"click TEXT"`. Then things happen, in order: `("new", text, rows)`, `("edit", id, text, rows)`,
    `("notice", text)`, `("fail", error)`. Something new is seen at the look after the next, as if it took a moment.
    """

    def __init__(self, recording, script, chat=(), delay=1):
        self.recording, self.script, self.delay = recording, list(script), delay
        self.messages, self.pending, self.said, self.looks = [], [], [], 0
        for text, rows in chat:
            self.add(text, rows)

    def allowed(self, method, keywords):
        known = self.recording["methods"][method]
        known_or_fail(set(keywords) <= set(known), "{} has no {}", method, set(keywords) - set(known))

    def make(self, number, text, rows=None, out=False, edited=False):
        known = self.recording["messages"]["inline" if rows else "plain"]
        when = datetime.datetime.fromisoformat(known["date"])
        buttons = rows and [
            [button(self, self.recording, number, *(one if isinstance(one, tuple) else (one,))) for one in row] for row in rows
        ]
        return Thing(known, id=number, raw_text=text, out=out, date=when, edit_date=when if edited else None, buttons=buttons)

    def add(self, text, rows=None, out=False):
        number = 100 + len(self.messages)
        self.messages.append(self.make(number, text, rows, out))
        return self.messages[-1]

    def happen(self, does):
        known_or_fail(self.script, "not in the script: {}", does)
        wanted, effects = self.script.pop(0)
        known_or_fail(does == wanted, "{!r}, where the script has {!r}", does, wanted)
        notice = None
        for effect in effects:
            if effect[0] == "fail":
                raise effect[1]
            if effect[0] == "notice":
                notice = effect[1]
            else:
                self.pending.append((self.looks + self.delay, effect))
        return notice

    def settle(self):
        self.looks += 1
        due = [effect for when, effect in self.pending if when < self.looks]
        self.pending = [(when, effect) for when, effect in self.pending if when >= self.looks]
        for what, *rest in due:
            if what == "new":
                self.add(*rest)
            else:
                number, text, rows = rest
                self.messages[number - 100] = self.make(number, text, rows, edited=True)

    async def get_messages(self, entity, **keywords):
        known_or_fail(entity == "BotFather", "another chat: {}", entity)
        self.allowed("get_messages", keywords)
        if "ids" in keywords:
            return next((message for message in self.messages if message.id == keywords["ids"]), None)
        self.settle()
        return self.messages[::-1][: keywords["limit"]]

    async def send_message(self, entity, message, **keywords):
        known_or_fail(entity == "BotFather", "another chat: {}", entity)
        self.allowed("send_message", keywords)
        self.said.append(message)
        self.happen("say " + message)
        return self.add(message, out=True)

    async def clicked(self, message_id, text):
        kind = next(one for row in self.messages[message_id - 100].buttons for one in row if one.text == text)
        if kind.data is None:
            return await self.send_message("BotFather", text, parse_mode=None)
        notice = self.happen("click " + text)
        return plain_types.SimpleNamespace(**{**dict.fromkeys(self.recording["callback_answer"]), "message": notice})
