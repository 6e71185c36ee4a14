"""What BotFather's answers mean, and what it accepts, as plain functions.

Its wording is not a documented interface. So what is read here is a few words of each answer, and an answer that is not
known is handed to the caller as it is.
"""

import re

from talk import TOKEN, Trouble, masked

# The first that fits counts.
MEANINGS = (
    ("made", TOKEN.pattern),
    ("too-many-tries", r"too many attempts"),
    ("too-many-bots", r"more than \d+ bots|too many bots|bot limit"),
    ("taken", r"username is already (taken|occupied)"),
    # Asking for a username, it also says what one must end in.
    ("asks-username", r"choose a username"),
    ("bad-username", r"username is invalid|username must end in|username .{0,20}too (short|long)"),
    ("asks-name", r"choose a name|how are we going to call it"),
    ("no-bots", r"(don.t have|have no) any bots|have no bots"),
    ("bad-bot", r"invalid bot"),
    ("bad-commands", r"list of commands is invalid"),
    ("asks-commands", r"send me a list of commands"),
    ("asks-bot", r"choose a bot"),
    ("success", r"\bsuccess\b"),
)


def meaning(text):
    """Returns one word for what the answer means, or None where it is not known."""
    for word, pattern in MEANINGS:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return word
    return None


def token_of(text):
    """Returns the bot's token in the answer, or None."""
    found = TOKEN.search(text)
    return found.group(0) if found else None


def refused(text, username=None):
    """Returns what to tell the caller about an answer that ends the matter."""
    what = meaning(text)
    if what == "taken":
        return "the username `{}` is already taken; choose another".format(username)
    if what == "bad-username":
        return "BotFather does not accept the username `{}`; choose another".format(username)
    if what == "too-many-bots":
        return "the account has as many bots as Telegram allows; delete one with BotFather's /deletebot first"
    if what == "too-many-tries":
        seconds = re.search(r"(\d+) (second|minute|hour)s?", text)
        after = "in {}".format(seconds.group(0)) if seconds else "later"
        return "BotFather wants a pause after too many attempts; try again {}".format(after)
    if what == "no-bots":
        return "the account has no bots; make one with new-bot"
    if what == "bad-bot":
        return "BotFather knows no bot `{}` of this account; /mybots lists them".format(username)
    if what == "bad-commands":
        return "BotFather does not accept the list of commands: {}".format(one_line(text))
    return "BotFather's answer is not one that is known: {}".format(one_line(text))


def one_line(text, limit=300):
    line = " ".join(masked(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def username_of(text):
    """Returns a bot's username without `@`, if it can be one."""
    name = text[1:] if text.startswith("@") else text
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{4,31}", name) or not name.lower().endswith("bot"):
        raise Trouble(
            "`{}` cannot be a bot's username: 5 to 32 letters, digits and underscores, "
            "a letter first, ending in `bot`".format(text)
        )
    return name


def name_of(text):
    name = text.strip()
    if not name or len(name) > 64 or "\n" in name or name.startswith("/"):
        raise Trouble("a bot's name is one line of 1 to 64 characters that does not begin with `/`")
    return name


def commands_text(commands):
    """Returns the lines that BotFather takes for the list, or `/empty` for none."""
    if len(commands) > 100:
        raise Trouble("a bot has at most 100 commands, not {}".format(len(commands)))
    lines, seen = [], set()
    for number, item in enumerate(commands):
        if not isinstance(item, dict) or set(item) != {"command", "description"}:
            raise Trouble('commands[{}] is not {{"command": …, "description": …}}'.format(number))
        name, about = item["command"], item["description"]
        if isinstance(name, str) and name.startswith("/"):
            name = name[1:]
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]{1,32}", name):
            raise Trouble("commands[{}].command is not 1 to 32 lower-case letters, digits and underscores".format(number))
        if not isinstance(about, str) or not 1 <= len(about.strip()) <= 256 or len(about.splitlines()) != 1:
            raise Trouble("commands[{}].description is not one line of 1 to 256 characters".format(number))
        if name in seen:
            raise Trouble("commands[{}] names `{}` a second time".format(number, name))
        seen.add(name)
        lines.append("{} - {}".format(name, about.strip()))
    return "\n".join(lines) or "/empty"
