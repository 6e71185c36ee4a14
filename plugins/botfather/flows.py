"""What each command does in the chat: read, act, wait for the answer, read on. Needs only what `telegram.Chat` offers."""

import talk
import words
from talk import Trouble

# How many messages are looked at for an answer, and how long between looks.
LOOK = 10
PAUSES = (0.4, 0.6, 1.0)
# What Telegram shows in passing may be all there is: a message seldom follows later than this.
AFTER_NOTICE = 4


async def wait_for_answer(chat, before, timeout, clicked=None):
    """Returns BotFather's messages since `before`, oldest first, once a second look finds no more.

    At the end of the time it returns what there is, which may be none.
    """
    end = chat.clock() + timeout
    pauses, found = iter(PAUSES), []
    while True:
        pause = next(pauses, PAUSES[-1])
        if chat.clock() + pause > end:
            return found
        await chat.sleep(pause)
        more = talk.answers(before, await chat.recent(LOOK, clicked, end))
        if more and more == found:
            return found
        found = more


def reply(found, before):
    """Returns the part of a result that holds the answer: the newest message, or else the one that was edited."""
    known = {message.id for message in before}
    message = ([one for one in found if one.id not in known] or found)[-1]
    result = {"reply": talk.shown(message), "how": "edited" if message.id in known else "new"}
    others = [talk.shown(other) for other in found if other is not message]
    if others:
        result["others"] = others
    return result


async def list_messages(chat, limit):
    return {"messages": [talk.shown(message) for message in await chat.recent(limit)]}


async def send_message(chat, message, timeout):
    if not message.strip():
        raise Trouble("the message is empty; give it a text")
    before = await chat.recent(LOOK)
    await chat.send(message)
    found = await wait_for_answer(chat, before, timeout)
    if not found:
        raise Trouble("the message was sent, and BotFather did not answer within {} seconds; list-messages shows what "
                      "comes later".format(timeout))
    return reply(found, before)


async def click_button(chat, msg_id, button_text, row, column, timeout):
    talk.asked_for(button_text, row, column)
    before = await chat.recent(LOOK, msg_id)
    message = next((one for one in before if one.id == msg_id), None)
    if message is None:
        raise Trouble("the chat with BotFather has no message {}; list-messages shows the ids".format(msg_id))
    row, column = talk.find_button(message, button_text, row, column)
    button = message.rows[row - 1][column - 1]
    clicked = {"text": talk.masked(button.text), "row": row, "column": column}
    if button.kind == "url":
        return {"clicked": clicked, "reply": None, "url": talk.masked(button.url)}
    if button.kind not in ("callback", "text"):
        raise Trouble("the button `{}` is of the kind {}, which only a person should press: use a Telegram app".format(
            button.text, button.kind))
    notice = await chat.click(msg_id, row, column)
    found = await wait_for_answer(chat, before, min(timeout, AFTER_NOTICE) if notice else timeout, msg_id)
    result = {"clicked": clicked}
    if notice:
        result["notice"] = talk.masked(notice)
    if found:
        return {**result, **reply(found, before)}
    if notice:
        return {**result, "reply": None}
    raise Trouble("the button was clicked, and BotFather did not answer within {} seconds; list-messages shows what "
                  "comes later".format(timeout))


async def say(chat, text, timeout=30):
    """Sends one line of a dialogue and returns the text of the answer."""
    before = await chat.recent(LOOK)
    await chat.send(text)
    found = await wait_for_answer(chat, before, timeout)
    if not found:
        raise Trouble("BotFather did not answer `{}` within {} seconds; list-messages shows what comes later".format(
            words.one_line(text, 40), timeout))
    return "\n\n".join(message.text for message in found)


async def expect(chat, text, wanted, username=None):
    """Says a line and returns the answer that is wanted; any other ends the dialogue, so that none is left half open."""
    answer = await say(chat, text)
    if words.meaning(answer) == wanted:
        return answer
    try:
        await chat.send("/cancel")
    except Trouble:
        pass  # What BotFather refused is the news.
    raise Trouble(words.refused(answer, username))


async def new_bot(chat, name, username, show_token, keep, progress):
    """Makes a bot. `keep(token)` writes the token and returns where."""
    progress(0, 3, "asking for a new bot")
    await expect(chat, "/newbot", "asks-name", username)
    progress(1, 3, "giving its name")
    await expect(chat, name, "asks-username", username)
    progress(2, 3, "giving its username")
    try:
        answer = await expect(chat, username, "made", username)
    except Trouble as trouble:
        if "did not answer" not in str(trouble) and "cannot reach" not in str(trouble):
            raise
        raise Trouble("{}; the bot `{}` may have been made: look before trying again".format(trouble, username)) from trouble
    progress(3, 3, "made")
    result = {"username": username, "name": name, "link": "https://t.me/" + username}
    token = words.token_of(answer)
    if show_token:
        return {**result, "token": token}
    try:
        return {**result, "token_file": keep(token)}
    except OSError as error:
        raise Trouble("the bot `{}` was made, but its token could not be written: {}; it stands in the chat with "
                      "BotFather".format(username, error.strerror)) from error


async def set_commands(chat, bot, text, number, progress):
    progress(0, 3, "asking to set commands")
    await expect(chat, "/setcommands", "asks-bot", bot)
    progress(1, 3, "naming the bot")
    await expect(chat, "@" + bot, "asks-commands", bot)
    progress(2, 3, "sending the list")
    answer = await expect(chat, text, "success", bot)
    progress(3, 3, "set")
    return {"bot": bot, "commands": number, "answer": words.one_line(answer)}
