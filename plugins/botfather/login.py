"""`login` and `status`: what stands between the plugin and a session, and how a person gets over it."""

import asyncio
import contextlib
import os
import pwd
import shlex
import sys

import state
import telegram
from talk import Trouble


def by_hand(environment, program):
    """Returns the command that logs in for the plugin: as its user, with its Python, in its state directory."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    words = ["sudo", "-u", user, "env", "SMCP_STATE_DIR=" + environment.get("SMCP_STATE_DIR", "DIRECTORY"),
             sys.executable, program, "login"]
    return " ".join(shlex.quote(word) for word in words)


def refuse_without_person(environment, program, terminal):
    """Refuses where nobody can be asked: codes and passwords never pass through an agent."""
    if environment.get("SMCP_CALL_ID") or not terminal:
        raise Trouble("login asks for a phone number, a code and a password, so it needs a person at a terminal; run there: "
                      "{} (it asks for credentials that are not in the environment)".format(by_hand(environment, program)))


def ask(prompt):
    """Asks on the terminal without echo."""
    import getpass

    answer = getpass.getpass(prompt).strip()
    if not answer:
        raise Trouble("nothing was entered; run login again")
    return answer


def ask_phone():
    phone = ask("Phone number, with country code (not shown): ")
    # Telethon would take a word with a colon for a bot's token.
    if ":" in phone:
        raise Trouble("that is no phone number; BotFather talks to users, not to bots")
    return phone


async def log_in(environment, program, ask=ask, ask_phone=ask_phone):
    telethon = telegram.library()
    path = state.session_path(environment)
    filled = dict(environment)
    for name, prompt in (("TELEGRAM_API_ID", "api_id (not shown): "), ("TELEGRAM_API_HASH", "api_hash (not shown): ")):
        filled[name] = filled.get(name) or ask(prompt)
    api_id, api_hash = telegram.credentials(filled)
    state.make_private(path)
    try:
        client = telegram.make_client(telethon, path, api_id, api_hash)
    except Exception as error:
        raise telegram.explained(error) from error
    try:
        await telegram.connect(client)
        # It prints who logged in; stdout is for the result.
        with contextlib.redirect_stdout(sys.stderr):
            await client.start(
                phone=environment.get("TELEGRAM_PHONE") or ask_phone,
                code_callback=lambda: ask("Code that Telegram sent you (not shown): "),
                password=lambda: ask("Password of two-step verification (not shown): "),
            )
    except Exception as error:
        raise telegram.explained(error) from error
    finally:
        await telegram.close(client)
    return {"logged_in": True, "session": path}


async def status(environment, program):
    """Says what is there and what is not, without any value of it."""
    steps = []
    try:
        telethon = telegram.library()
        library = {"installed": True, "version": telethon.__version__}
    except Trouble as trouble:
        telethon, library = None, {"installed": False}
        steps.append(str(trouble))
    given = {name[len("TELEGRAM_"):].lower(): bool(environment.get(name))
             for name in ("TELEGRAM_API_ID", "TELEGRAM_API_HASH", "TELEGRAM_PHONE")}
    pair = None
    try:
        pair = telegram.credentials(environment)
    except Trouble as trouble:
        steps.append(str(trouble))
    session, path = {"present": False}, None
    try:
        path = state.session_path(environment)
        session = {"present": state.checked(path), "private": True, "path": path}
        if not session["present"]:
            del session["private"]
            steps.append("not logged in; run on a terminal: " + by_hand(environment, program))
    except Trouble as trouble:
        session = {"present": path is not None, "private": False, "path": path}
        steps.append(str(trouble))
    usable = session["present"] and session.get("private", False)
    service = {"asked": False}
    if telethon and pair:
        service = await reached(environment, telethon, path if usable else None, *pair)
        if "reason" in service:
            steps.append(service["reason"])
        elif usable and not service["logged_in"]:
            steps.append("the session is not logged in; run on a terminal: " + by_hand(environment, program))
    answer = {"ready": not steps, "library": library, "credentials": given, "session": session, "telegram": service}
    if steps:
        answer["next"] = steps
    return answer


async def reached(environment, telethon, path, api_id, api_hash):
    """Asks Telegram, with the session where that may be used, else with one that is kept nowhere."""
    try:
        with contextlib.ExitStack() as stack:
            if path:
                stack.enter_context(state.held(environment))
            client = telegram.make_client(telethon, path or telethon.sessions.MemorySession(), api_id, api_hash)
            try:
                await telegram.connect(client)
                known = await asyncio.wait_for(client.is_user_authorized(), telegram.CONNECT_SECONDS)
                return {"asked": True, "reachable": True, "logged_in": bool(known)}
            finally:
                await telegram.close(client)
    except Exception as error:
        return {"asked": True, "reachable": False, "reason": str(telegram.explained(error))}
