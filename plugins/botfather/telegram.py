"""The thin layer over Telethon: a client becomes a `Chat`, its objects become `talk`'s, its errors become words.

Nothing here decides what an answer is. Telethon is imported only when a client is made.
"""

import asyncio
import os

import talk
from talk import Trouble

BOTFATHER = "BotFather"
CONNECT_SECONDS = 25
# A pause that Telegram asks for is waited out up to here; a longer one is the caller's to plan.
SHORT_FLOOD = 15
FLOODS = ("FloodWaitError", "FloodPremiumWaitError", "SlowModeWaitError")
# What Telethon says of bytes that are not Telegram's, as from a proxy that catches every connection.
STRANGE = ("InvalidBufferError", "InvalidChecksumError", "SecurityError")
NO_LIBRARY = "the library telethon is not installed; run `smcpctl plugin deps botfather`"
# Clicking these is plain; others would share a phone number, a place or a payment.
PLAIN_BUTTONS = ("ButtonTypeDefault", "KeyboardButton")


def library():
    try:
        import telethon
    except ImportError as error:
        if getattr(error, "name", None) not in (None, "telethon"):
            raise Trouble("the library telethon cannot be imported: {}; run `smcpctl plugin deps botfather`".format(error)) from error
        raise Trouble(NO_LIBRARY) from error
    return telethon


def credentials(environment):
    """Returns the api_id and api_hash; no error repeats a value."""
    missing = [name for name in ("TELEGRAM_API_ID", "TELEGRAM_API_HASH") if not environment.get(name)]
    if missing:
        raise Trouble("not set: {}; grant the plugin what my.telegram.org shows for your application".format(
            " and ".join(missing)))
    try:
        return int(environment["TELEGRAM_API_ID"]), environment["TELEGRAM_API_HASH"]
    except ValueError:
        raise Trouble("TELEGRAM_API_ID is not a number; my.telegram.org shows it as api_id") from None


def make_client(telethon, session, api_id, api_hash):
    import logging

    # Its warnings would stand beside our one line.
    logging.getLogger("telethon").setLevel(logging.CRITICAL + 1)
    os.umask(0o077)
    return telethon.TelegramClient(
        session, api_id, api_hash, timeout=10, request_retries=2, connection_retries=1, retry_delay=1,
        auto_reconnect=False, flood_sleep_threshold=0, receive_updates=False, device_model="smcp botfather",
    )


async def connect(client):
    try:
        await asyncio.wait_for(client.connect(), CONNECT_SECONDS)
    except Exception as error:
        raise explained(error) from error


async def close(client):
    """Ends the connection; how that goes changes nothing about the result."""
    try:
        await asyncio.wait_for(client.disconnect(), 5)
    except Exception:
        pass


def explained(error):
    """Returns the trouble that an error of the library or the network is.

    By the names of its classes, so that this needs no library.
    """
    if isinstance(error, Trouble):
        return error
    names = [kind.__name__ for kind in type(error).__mro__]
    if flood_seconds(error) is not None:
        return Trouble("Telegram asks for a pause of {} seconds; try again after that".format(error.seconds))
    if "PeerFloodError" in names:
        return Trouble("Telegram has limited this account for too many requests; ask @SpamBot about it")
    if "AuthKeyError" in names or "UnauthorizedError" in names or "AuthKeyNotFound" in names:
        return Trouble("Telegram no longer accepts the session; log in again")
    if "ApiIdInvalidError" in names:
        return Trouble("Telegram does not accept TELEGRAM_API_ID with TELEGRAM_API_HASH; compare them with my.telegram.org")
    strange = isinstance(error, EOFError) or any(name in names for name in STRANGE)
    if strange or isinstance(error, (OSError, asyncio.TimeoutError)):
        if isinstance(error, asyncio.TimeoutError):
            reason = "no answer in time"
        else:
            reason = "what answers is not Telegram" if strange else " ".join(str(error).split())
        return Trouble("cannot reach Telegram: {}; check the network and whether the daemon's sandbox lets this plugin "
                       "reach other hosts".format(reason or type(error).__name__))
    if "DatabaseError" in names:
        return Trouble("the session file cannot be used ({}); remove it and log in again".format(error))
    if "RPCError" in names:
        return Trouble("Telegram refuses: {}".format(" ".join(str(error).split())))
    return Trouble("{}: {}".format(type(error).__name__, talk.masked(" ".join(str(error).split()))))


def flood_seconds(error):
    names = [kind.__name__ for kind in type(error).__mro__]
    return error.seconds if any(name in names for name in FLOODS) else None


def message_of(found):
    """Returns `talk`'s form of one of Telethon's messages."""
    return talk.Message(
        id=found.id,
        text=found.raw_text or "",
        ours=bool(found.out),
        date=found.date.isoformat() if found.date else None,
        edited=found.edit_date.isoformat() if found.edit_date else None,
        rows=tuple(tuple(button_of(button) for button in row) for row in found.buttons or ()),
    )


def button_of(button):
    # Later versions give a button a type; in earlier ones the button's own class is that.
    kind = type(getattr(button.button, "type", None) or button.button).__name__
    if button.data is not None:
        return talk.Button(button.text, "callback")
    if button.url is not None:
        return talk.Button(button.text, "url", button.url)
    return talk.Button(button.text, "text" if kind in PLAIN_BUTTONS else kind)


class Chat:
    """The chat with BotFather, over a client that is connected and logged in."""

    def __init__(self, client, sleep=asyncio.sleep, clock=None, note=lambda text: None):
        self.client = client
        self.sleep = sleep
        self.clock = clock or asyncio.get_running_loop().time
        self.note = note

    async def asked(self, request, deadline=None):
        """Awaits what `request` makes, once more after a short flood wait. Only a request that failed is made again."""
        for patient in (True, False):
            try:
                return await asyncio.wait_for(request(), CONNECT_SECONDS)
            except Exception as error:
                seconds = flood_seconds(error)
                late = deadline is not None and seconds is not None and self.clock() + seconds > deadline
                if not patient or seconds is None or seconds > SHORT_FLOOD or late:
                    raise explained(error) from error
                self.note("Telegram asks for a pause of {} seconds".format(seconds))
                await self.sleep(seconds)

    async def recent(self, limit, also=None, deadline=None):
        """Returns the latest messages, newest first, and message `also` where that is older."""
        found = list(await self.asked(lambda: self.client.get_messages(BOTFATHER, limit=limit), deadline))
        if also is not None and also not in [message.id for message in found]:
            one = await self.asked(lambda: self.client.get_messages(BOTFATHER, ids=also), deadline)
            found += [one] if one else []
        return [message_of(message) for message in found]

    async def send(self, text):
        await self.asked(lambda: self.client.send_message(BOTFATHER, text, parse_mode=None, link_preview=False))

    async def click(self, message_id, row, column):
        """Clicks and returns what Telegram shows for it in passing, if anything."""
        found = await self.asked(lambda: self.client.get_messages(BOTFATHER, ids=message_id))
        try:
            button = found.buttons[row - 1][column - 1]
        except (AttributeError, IndexError, TypeError):
            raise Trouble("message {} changed meanwhile; look at it again with list-messages".format(message_id)) from None
        result = await self.asked(lambda: button.click())
        # A callback's answer has `alert`; a sent text comes back as a message.
        return result.message if hasattr(result, "alert") else None
