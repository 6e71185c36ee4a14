"""Records what the real library's objects look like, for tests that run without it: `python tests/record.py`.

Run it with each version of Telethon that the tests are to know. It makes objects of the library's own types and asks no
server. The values are invented, the shapes are not.
"""

import datetime
import inspect
import json
import pathlib

RECORDED = pathlib.Path(__file__).parent / "recorded"
WHEN = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
METHODS = ("connect", "disconnect", "is_user_authorized", "get_messages", "iter_messages", "send_message", "start")
ERRORS = (
    ("FloodWaitError", {"capture": 42}),
    ("PeerFloodError", {}),
    ("AuthKeyUnregisteredError", {}),
    ("ApiIdInvalidError", {}),
    ("MessageIdInvalidError", {}),
)


class Client:
    """As much of a client as a message needs to show its buttons."""

    _mb_entity_cache = {}

    @staticmethod
    def _get_response_message(*_):
        return None


def real_buttons():
    """Returns one button of each kind: inline ones, then those of a keyboard."""
    from telethon.tl import types

    if hasattr(types, "KeyboardInlineButton"):
        inline, key = types.KeyboardInlineButton, types.KeyboardButton
        return (
            [inline("Payments", types.InlineButtonTypeCallback(b"pay")), inline("Docs", types.InlineButtonTypeUrl("https://example.org/"))],
            [key("@tetris_bot", types.ButtonTypeDefault()), key("Share phone", types.ButtonTypeRequestPhone())],
        )
    return (
        [types.KeyboardButtonCallback("Payments", b"pay"), types.KeyboardButtonUrl("Docs", "https://example.org/")],
        [types.KeyboardButton("@tetris_bot"), types.KeyboardButtonRequestPhone("Share phone")],
    )


def real_message(markup=None, **more):
    from telethon.tl import types

    peer = types.PeerUser(93372553)
    message = types.Message(id=7, peer_id=peer, from_id=peer, date=WHEN, message="Hello", reply_markup=markup, out=False, **more)
    chat = types.InputPeerUser(93372553, 1)
    message._client, message._input_chat = Client(), chat
    if markup is not None:
        message._set_buttons(chat, None)
    return message


def real_messages():
    from telethon.tl import types

    inline, keys = real_buttons()
    row = types.KeyboardButtonRow
    return {
        "plain": real_message(),
        "inline": real_message(types.ReplyInlineMarkup([row(inline)]), edit_date=WHEN),
        "keyboard": real_message(types.ReplyKeyboardMarkup([row([key]) for key in keys])),
    }


def public(thing):
    return sorted(name for name in dir(thing) if not name.startswith("_"))


def recorded_button(button):
    kind = getattr(button.button, "type", None)
    return {
        "text": button.text,
        "data": None if button.data is None else button.data.decode(),
        "url": button.url,
        "inner": type(button.button).__name__,
        "type": kind and type(kind).__name__,
        "attributes": public(button),
    }


def recorded_message(message):
    return {
        "id": message.id,
        "out": message.out,
        "date": message.date.isoformat(),
        "edit_date": message.edit_date and message.edit_date.isoformat(),
        "raw_text": message.raw_text,
        "buttons": message.buttons and [[recorded_button(button) for button in row] for row in message.buttons],
        "attributes": public(message),
    }


def recorded_error(name, how):
    from telethon import errors

    error = getattr(errors, name)(request=None, **how)
    return {
        "classes": [kind.__name__ for kind in type(error).__mro__ if kind not in (BaseException, object)],
        "text": str(error),
        "seconds": getattr(error, "seconds", None),
    }


def parameters(function):
    return [name for name in inspect.signature(function).parameters if name != "self"]


def record():
    import telethon
    from telethon.tl import types

    return {
        "version": telethon.__version__,
        "constructor": parameters(telethon.TelegramClient.__init__),
        "methods": {name: parameters(getattr(telethon.TelegramClient, name)) for name in METHODS},
        "messages": {name: recorded_message(message) for name, message in real_messages().items()},
        "errors": {name: recorded_error(name, how) for name, how in ERRORS},
        "callback_answer": public(types.messages.BotCallbackAnswer(cache_time=0, message="Saved")),
    }


if __name__ == "__main__":
    found = record()
    RECORDED.mkdir(exist_ok=True)
    path = RECORDED / "telethon-{}.json".format(found["version"])
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(path)
