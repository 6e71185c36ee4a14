"""When a prompt is due: plain functions of a rule and a moment, in whole seconds since 1970. No clock is read here."""

import re
from datetime import datetime, timedelta, timezone

from errors import Refused

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LATEST = 253370764800  # 9999-01-01: `datetime` can still add a zone's offset to it.
LONGEST = 3650 * 86400


def zone(name):
    """Returns the time zone of an IANA name."""
    if name.upper() == "UTC":
        return timezone.utc
    # Imported here: it is slow, and most commands need no zone but UTC.
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(
            f"no time zone is called `{name}`: give an IANA name such as `Europe/Berlin`"
            " (a host without zone data gets it by `smcpctl plugin deps promptyoself`)"
        ) from None


def moment(text, zone_name):
    """Returns the moment that ISO 8601 or an epoch says; without an offset it is a time of the zone."""
    text = text.strip()
    try:
        if re.fullmatch(r"-?\d{1,4}", text):
            raise ValueError  # A year, or a slip of the hand; not a second of 1970.
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            seconds = int(float(text))
        else:
            local = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
            if local.tzinfo is None:
                local = local.replace(tzinfo=zone(zone_name))
            seconds = int(local.timestamp())
    except (ValueError, OverflowError):
        raise Refused(
            f"`{text}` is no time: write `2030-05-01T09:00:00`, `2030-05-01T09:00:00+02:00` or seconds since 1970"
        ) from None
    if not 0 <= seconds < LATEST:
        raise Refused(f"`{text}` is out of range: give a time between 1970 and 9999")
    return seconds


def interval(text):
    """Returns the seconds of `30s`, `15m`, `2h` or `1d`."""
    found = re.fullmatch(r"([0-9]{1,10})([smhd])", text.strip().lower())
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 1 <= seconds <= LONGEST:
        raise Refused(f"`{text}` is no interval: write a number and s, m, h or d, as in `15m`, up to 3650d")
    return seconds


def said(seconds):
    """Returns an interval as a person writes it."""
    unit = next(unit for unit in "dhms" if seconds % UNITS[unit] == 0)
    return f"{seconds // UNITS[unit]}{unit}"


def iso(seconds, zone_name="UTC"):
    """Returns the moment for people and programs to read, or nothing where there is none."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, zone(zone_name)).isoformat()


def cron(expression):
    """Returns the function that gives the next local time of a cron expression after another local time."""
    try:
        from croniter import croniter
    except ImportError:
        raise Refused(
            "cron schedules need the package `croniter`: install it by `smcpctl plugin deps promptyoself`,"
            " or use --every or --time"
        ) from None
    if len(expression.split()) != 5 and not expression.startswith("@"):
        raise Refused(f"`{expression}` is no cron expression: give minute, hour, day, month and weekday, as in `0 9 * * 1-5`")

    def following(local):
        try:
            return croniter(expression, local).get_next(datetime)
        except Exception as error:  # croniter's own errors, and what odd input makes it stumble over
            raise Refused(f"`{expression}` is no cron expression that ever matches: {error}") from None

    following(datetime(2024, 1, 1))
    return following


def follows_the_clock(expression):
    """Tells whether a cron expression runs in each hour, so that an hour that comes twice has its runs twice."""
    hours = (expression.split() + ["", ""])[1]
    return hours.startswith("*") or expression.strip() == "@hourly"


def next_cron(following, each_hour, zone_name, after):
    """Returns the first moment past `after` that the local clock of a zone makes due.

    A time that the clock leaps over in spring runs as much later as the leap is long. A time that comes twice in autumn
    runs at its first coming; only expressions that run in each hour run at both.
    """
    place = zone(zone_name)
    now = datetime.fromtimestamp(after, place)
    local = now.replace(tzinfo=None)
    while True:
        local = following(local)
        if local.year > 9000:
            raise Refused("the cron expression has no further time")
        due = int(local.replace(tzinfo=place).timestamp())
        if due > after:
            break
        again = int(local.replace(tzinfo=place, fold=1).timestamp())
        if each_hour and again > after:
            due = again
            break
    if each_hour and datetime.fromtimestamp(due, place).utcoffset() < now.utcoffset():
        # The clock went back in between: its second round may have an earlier time.
        back = _change(place, after, due)
        start = datetime.fromtimestamp(back, place).replace(tzinfo=None) - timedelta(seconds=1)
        again = int(following(start).replace(tzinfo=place, fold=1).timestamp())
        if after < again < due:
            due = again
    return due


def _change(place, low, high):
    """Returns the first second of the offset that holds at `high`; it holds not yet at `low`."""
    offset = datetime.fromtimestamp(high, place).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, place).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high


def first_due(kind, rule, zone_name, start, now):
    """Returns when a new schedule is due for the first time."""
    if kind == "once":
        return int(rule)
    if kind == "every":
        if start is None:
            return now + int(rule)
        return start if start > now else next_due(kind, rule, zone_name, start, now)
    # One second before: a start that matches is itself due.
    return next_cron(cron(rule), follows_the_clock(rule), zone_name, max(now, start - 1) if start is not None else now)


def next_due(kind, rule, zone_name, due, now):
    """Returns the first time after now that follows `due`, or nothing. What was missed in between is left out."""
    if kind == "once":
        return None
    if kind == "every":
        step = int(rule)
        return due + ((max(now, due) - due) // step + 1) * step
    return next_cron(cron(rule), follows_the_clock(rule), zone_name, max(now, due))
