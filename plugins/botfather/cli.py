"""Automates Telegram's BotFather over a user's session. See README.md; `contract` lists the commands."""

import json
import os
import sys

import contract
from talk import Trouble

PROGRAM = os.path.realpath(__file__)


def progress(done, total, message):
    print(json.dumps({"progress": done, "total": total, "message": message}), file=sys.stderr, flush=True)


def note(text):
    print(text, file=sys.stderr, flush=True)


async def in_chat(environment, telethon, talk_to):
    """Opens the session, hands its chat to `talk_to`, and closes it whatever happens."""
    import asyncio

    import login
    import state
    import telegram

    api_id, api_hash = telegram.credentials(environment)
    path = state.session_path(environment)
    here = login.by_hand(environment, PROGRAM)
    if not state.checked(path):
        raise Trouble("not logged in to Telegram; run on a terminal: " + here)
    with state.held(environment):
        try:
            client = telegram.make_client(telethon, path, api_id, api_hash)
        except Exception as error:
            raise telegram.explained(error) from error
        try:
            await telegram.connect(client)
            if not await asyncio.wait_for(client.is_user_authorized(), telegram.CONNECT_SECONDS):
                raise Trouble("the session is not logged in to Telegram; run on a terminal: " + here)
            return await talk_to(telegram.Chat(client, note=note))
        except Exception as error:
            raise telegram.explained(error) from error
        finally:
            await telegram.close(client)


def conversation(command, given, environment):
    """Checks what can be checked without Telegram, and returns what to do in the chat."""
    import flows
    import state
    import talk
    import words

    if command == "list-messages":
        return lambda chat: flows.list_messages(chat, **given)
    if command == "send-message":
        return lambda chat: flows.send_message(chat, **given)
    if command == "click-button":
        talk.asked_for(given["button_text"], given["row"], given["column"])
        return lambda chat: flows.click_button(chat, **given)
    if command == "new-bot":
        name, username = words.name_of(given["name"]), words.username_of(given["username"])
        kept = None if given["show_token"] else state.tokens_directory(environment)
        return lambda chat: flows.new_bot(
            chat, name, username, given["show_token"], lambda token: state.keep_token(kept, username, token), progress)
    bot, text = words.username_of(given["bot"]), words.commands_text(given["commands"])
    return lambda chat: flows.set_commands(chat, bot, text, len(given["commands"]), progress)


def run(command, given, environment):
    import asyncio

    import login
    import state
    import telegram

    if command == "status":
        return asyncio.run(login.status(environment, PROGRAM))
    if command == "login":
        login.refuse_without_person(environment, PROGRAM, sys.stdin.isatty() and sys.stderr.isatty())
        with state.held(environment):
            return asyncio.run(login.log_in(environment, PROGRAM))
    talk_to = conversation(command, given, environment)
    return asyncio.run(in_chat(environment, telegram.library(), talk_to))


def main():
    given = vars(contract.build_parser().parse_args())
    # Before Python 3.13 argparse reads `--message=--` as an empty list; a list of commands comes as it is.
    given = {key: "--" if value == [] and key != "commands" else value for key, value in given.items()}
    try:
        print(json.dumps(run(given.pop("command"), given, os.environ), ensure_ascii=False))
    except Trouble as trouble:
        print(json.dumps({"error": str(trouble)}, ensure_ascii=False))
        return 1
    except KeyboardInterrupt:
        print(json.dumps({"error": "interrupted"}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
