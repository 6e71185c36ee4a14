"""The conversation, without a network: messages, which of them is the answer, which button is meant, which text is secret.

Values in, values out. The chat itself is in `telegram`, what BotFather's words mean in `words`.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Optional, Tuple

# A bot's token is its number, a colon and 35 letters. Everything after the colon is the secret.
TOKEN = re.compile(r"(?<![0-9])([0-9]{5,14}):([A-Za-z0-9_-]{30,64})(?![A-Za-z0-9_-])")


class Trouble(Exception):
    """What the caller is told: the thing, the reason and the way out."""


@dataclass(frozen=True)
class Button:
    text: str
    # "callback" asks the bot, "text" sends its text, "url" only leads somewhere; any other kind is not clicked.
    kind: str
    url: Optional[str] = None


@dataclass(frozen=True)
class Message:
    id: int
    text: str
    # Sent by us, not by BotFather.
    ours: bool = False
    date: Optional[str] = None
    edited: Optional[str] = None
    rows: Tuple[Tuple[Button, ...], ...] = ()


def masked(text):
    return TOKEN.sub(r"\1:***", text)


def shown(message):
    """Returns the message as the caller sees it: tokens masked, buttons with the row and column to click them by."""
    answer = {
        "id": message.id,
        "from": "you" if message.ours else "BotFather",
        "text": masked(message.text),
        "date": message.date,
    }
    if message.edited:
        answer["edited"] = message.edited
    if TOKEN.search(message.text):
        answer["masked"] = True
    answer["buttons"] = [
        [shown_button(button, row, column) for column, button in enumerate(buttons, 1)]
        for row, buttons in enumerate(message.rows, 1)
    ]
    return answer


def shown_button(button, row, column):
    answer = {"text": masked(button.text), "row": row, "column": column, "kind": button.kind}
    if button.url:
        answer["url"] = masked(button.url)
    return answer


def answers(before, after):
    """Returns BotFather's messages in `after` that are new or edited since `before`, oldest first.

    An old message that `before` did not reach back to is no answer, so `before` is never to be empty in a chat that has
    messages.
    """
    known = {message.id: message for message in before}
    newest = max(known, default=0)
    found = []
    for message in after:
        old = known.get(message.id)
        # Telegram may stamp an edit that changes nothing anyone sees; the stamp alone is no answer.
        edited = old is not None and (message.text, message.rows) != (old.text, old.rows)
        if not message.ours and (edited or (old is None and message.id > newest)):
            found.append(message)
    return sorted(found, key=lambda message: message.id)


def asked_for(button_text, row, column):
    """Checks that a button is named in one way, before anything is asked of Telegram."""
    if button_text is not None and (row is not None or column is not None):
        raise Trouble("give button-text, or row and column, not both")
    if button_text is None and (row is None or column is None):
        raise Trouble("say which button: give button-text, or both row and column")


def find_button(message, button_text=None, row=None, column=None):
    """Returns row and column, counted from 1, of the button that is meant."""
    if not message.rows:
        raise Trouble("message {} has no buttons; list-messages shows which have".format(message.id))
    if button_text is None:
        return at_place(message, row, column)
    places = [
        (y, x, button) for y, buttons in enumerate(message.rows, 1) for x, button in enumerate(buttons, 1)
    ]
    # First to the letter, then as a person reads it.
    for same in (str, plain):
        hits = [(y, x) for y, x, button in places if same(button.text) == same(button_text)]
        if len(hits) == 1:
            return hits[0]
        if hits:
            where = ", ".join("row {} column {}".format(y, x) for y, x in hits)
            raise Trouble("{} buttons are called `{}`: {}; give row and column".format(len(hits), button_text, where))
    texts = {plain(button.text): masked(button.text) for _, _, button in places}
    near = difflib.get_close_matches(plain(button_text), list(texts), n=3, cutoff=0.5)
    hint = "did you mean {}?".format(listed(texts[text] for text in near)) if near else (
        "it has {}".format(listed(texts.values()))
    )
    raise Trouble("message {} has no button `{}`; {}".format(message.id, button_text, hint))


def at_place(message, row, column):
    if row > len(message.rows):
        raise Trouble("message {} has no row {}: it has {}".format(message.id, row, count(len(message.rows), "row")))
    width = len(message.rows[row - 1])
    if column > width:
        raise Trouble("row {} of message {} has no column {}: it has {}".format(row, message.id, column, count(width, "button")))
    return row, column


def plain(text):
    """Returns the words of a button's text: no case, no arrows, no emoji. A text of only such signs stays itself."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()


def listed(texts):
    return ", ".join("`{}`".format(text) for text in texts)


def count(number, noun):
    return "{} {}{}".format(number, noun, "" if number == 1 else "s")
