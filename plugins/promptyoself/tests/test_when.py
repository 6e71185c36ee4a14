import unittest
from datetime import datetime, timedelta, timezone
from unittest import mock

import when
from errors import Refused

try:
    import croniter
except ImportError:
    croniter = None

try:
    when.zone("Europe/Berlin")
    ZONES = True
except Refused:
    ZONES = False


def seconds(text):
    return int(datetime.fromisoformat(text).timestamp())


def matching(minutes, hours):
    """Stands for croniter where it is not installed: the next local time with such a minute and hour."""

    def following(local):
        local = local.replace(second=0, microsecond=0) + timedelta(minutes=1)
        while local.minute not in minutes or local.hour not in hours:
            local += timedelta(minutes=1)
        return local

    return following


ANY = range(24)
# expression, minutes, hours, zone, after, the times that are due from there on
CLOCKS = [
    ("0 9 * * *", [0], [9], "UTC", "2024-05-01T08:59:59+00:00", ["2024-05-01T09:00:00+00:00", "2024-05-02T09:00:00+00:00"]),
    ("0 9 * * *", [0], [9], "UTC", "2024-05-01T09:00:00+00:00", ["2024-05-02T09:00:00+00:00"]),
    # Nine o'clock stays nine o'clock across both changes.
    ("0 9 * * *", [0], [9], "Europe/Berlin", "2024-03-30T12:00:00+01:00", ["2024-03-31T09:00:00+02:00"]),
    ("0 9 * * *", [0], [9], "Europe/Berlin", "2024-10-26T12:00:00+02:00", ["2024-10-27T09:00:00+01:00"]),
    # In spring 02:30 is leapt over: once, an hour later, and 02:30 again the day after.
    ("30 2 * * *", [30], [2], "Europe/Berlin", "2024-03-30T12:00:00+01:00",
     ["2024-03-31T03:30:00+02:00", "2024-04-01T02:30:00+02:00"]),
    ("30 2,3 * * *", [30], [2, 3], "America/New_York", "2024-03-10T00:00:00-05:00",
     ["2024-03-10T03:30:00-04:00", "2024-03-11T02:30:00-04:00"]),
    # In autumn 02:30 comes twice: the first counts.
    ("30 2 * * *", [30], [2], "Europe/Berlin", "2024-10-26T12:00:00+02:00",
     ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]),
    ("30 1 * * *", [30], [1], "America/New_York", "2024-11-03T01:30:00-04:00", ["2024-11-04T01:30:00-05:00"]),
    # What runs each hour runs in each hour there is.
    ("30 * * * *", [30], ANY, "Europe/Berlin", "2024-10-27T01:00:00+02:00",
     ["2024-10-27T01:30:00+02:00", "2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00", "2024-10-27T03:30:00+01:00"]),
    ("0 * * * *", [0], ANY, "Europe/Berlin", "2024-10-27T02:00:00+02:00",
     ["2024-10-27T02:00:00+01:00", "2024-10-27T03:00:00+01:00"]),
    ("*/30 * * * *", [0, 30], ANY, "Europe/Berlin", "2024-03-31T01:29:00+01:00",
     ["2024-03-31T01:30:00+01:00", "2024-03-31T03:00:00+02:00", "2024-03-31T03:30:00+02:00"]),
    # A change by half an hour.
    ("15 * * * *", [15], ANY, "Australia/Lord_Howe", "2024-04-07T01:00:00+11:00",
     ["2024-04-07T01:15:00+11:00", "2024-04-07T02:15:00+10:30"]),
    ("45 * * * *", [45], ANY, "Australia/Lord_Howe", "2024-04-07T01:00:00+11:00",
     ["2024-04-07T01:45:00+11:00", "2024-04-07T01:45:00+10:30", "2024-04-07T02:45:00+10:30"]),
    # A day that was left out altogether: the noon of it is the next day's.
    ("0 12 * * *", [0], [12], "Pacific/Apia", "2011-12-29T13:00:00-10:00",
     ["2011-12-31T12:00:00+14:00", "2012-01-01T12:00:00+14:00"]),
]  # fmt: skip


class Cron(unittest.TestCase):
    def check(self, following_of):
        for expression, minutes, hours, zone, after, expected in CLOCKS:
            if zone != "UTC" and not ZONES:
                continue
            following = following_of(expression, minutes, hours)
            now = seconds(after)
            for text in expected:
                with self.subTest(expression, zone=zone, after=after, expected=text):
                    now = when.next_cron(following, when.follows_the_clock(expression), zone, now)
                    self.assertEqual(datetime.fromtimestamp(now, timezone.utc), datetime.fromisoformat(text))

    def test_the_local_clock_decides(self):
        self.check(lambda expression, minutes, hours: matching(minutes, hours))

    @unittest.skipUnless(croniter, "croniter is not installed")
    def test_croniter_reads_the_expressions(self):
        self.check(lambda expression, minutes, hours: when.cron(expression))

    def test_time_always_goes_on(self):
        zones = ["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns"] if ZONES else ["UTC"]
        for zone in zones:
            for each_hour, hours in ((True, ANY), (False, [1, 2, 3])):
                now = seconds("2024-01-01T00:00:00+00:00")
                following = matching([0, 20, 50], hours)
                while now < seconds("2024-12-31T00:00:00+00:00"):
                    due = when.next_cron(following, each_hour, zone, now)
                    self.assertGreater(due, now)
                    if each_hour:
                        self.assertLessEqual(due - now, 1800 + 1800)
                    now = due + 7000

    @unittest.skipUnless(croniter, "croniter is not installed")
    def test_what_is_no_cron_expression_is_refused(self):
        for expression in ("", "x", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "@never", "* * * * mon-", "0 0 31 4 *"):
            with self.subTest(expression), self.assertRaisesRegex(Refused, "cron expression"):
                when.cron(expression)

    def test_without_croniter_the_way_out_is_named(self):
        with mock.patch.dict("sys.modules", {"croniter": None}), self.assertRaisesRegex(
            Refused, "smcpctl plugin deps promptyoself"
        ):
            when.cron("* * * * *")


class Words(unittest.TestCase):
    def test_times(self):
        for text, zone, expected in (
            ("2030-05-01T09:00:00", "UTC", "2030-05-01T09:00:00+00:00"),
            ("2030-05-01T09:00:00Z", "Europe/Berlin", "2030-05-01T09:00:00+00:00"),
            (" 2030-05-01 09:00 ", "UTC", "2030-05-01T09:00:00+00:00"),
            ("2030-05-01T09:00:00-07:00", "UTC", "2030-05-01T16:00:00+00:00"),
            ("2030-05-01", "UTC", "2030-05-01T00:00:00+00:00"),
            ("1900000000", "Europe/Berlin", "2030-03-17T17:46:40+00:00"),
            ("1900000000.9", "UTC", "2030-03-17T17:46:40+00:00"),
            ("2030-07-01T09:00:00", "Europe/Berlin", "2030-07-01T09:00:00+02:00"),
            # Leapt over, and twice.
            ("2030-03-31T02:30:00", "Europe/Berlin", "2030-03-31T03:30:00+02:00"),
            ("2030-10-27T02:30:00", "Europe/Berlin", "2030-10-27T02:30:00+02:00"),
        ):
            if zone != "UTC" and not ZONES:
                continue
            with self.subTest(text):
                self.assertEqual(when.moment(text, zone), seconds(expected))

    def test_what_is_no_time_is_refused(self):
        for text in ("", "soon", "2030", "2030-13-01T00:00:00", "-5", "-99999", "1e9", "99999999999999999999", "0001-01-01",
                     "9999-12-31T23:59:59", "2030-05-01T09:00:00+99:00", "nan", "inf", "١٩٠٠٠٠٠٠٠٠٠٠٠٠٠"):  # fmt: skip
            with self.subTest(text), self.assertRaises(Refused):
                when.moment(text, "UTC")

    def test_intervals(self):
        for text, expected in (("30s", 30), ("15m", 900), ("2h", 7200), ("1d", 86400), (" 1D ", 86400), ("3650d", 315360000)):
            self.assertEqual(when.interval(text), expected)
            self.assertEqual(when.interval(when.said(expected)), expected)
        for text in ("", "0s", "-1m", "5", "m", "1.5h", "1w", "1h30m", "3651d", "99999999999d", "١m"):
            with self.subTest(text), self.assertRaisesRegex(Refused, "is no interval"):
                when.interval(text)

    def test_zones(self):
        for name in ("Mars/Olympus", "", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b", "x" * 5000):
            with self.subTest(name[:20]), self.assertRaisesRegex(Refused, "no time zone"):
                when.zone(name)


class Due(unittest.TestCase):
    def test_intervals_keep_their_grid_and_leave_out_what_was_missed(self):
        for start, now, expected in ((None, 1000, 1060), (5000, 1000, 5000), (1000, 1000, 1060), (990, 1000, 1050)):
            self.assertEqual(when.first_due("every", "60", "UTC", start, now), expected)
        for due, now, expected in ((100, 100, 160), (100, 159, 160), (100, 160, 220), (100, 1000, 1060), (100, 50, 160)):
            self.assertEqual(when.next_due("every", "60", "UTC", due, now), expected)

    def test_a_day_is_24_hours_whatever_the_clock_does(self):
        due = seconds("2024-03-30T12:00:00+01:00")
        following = when.next_due("every", "86400", "Europe/Berlin", due, due)
        self.assertEqual(following, seconds("2024-03-31T13:00:00+02:00"))

    def test_once_is_once(self):
        self.assertEqual(when.first_due("once", "5", "UTC", None, 1), 5)
        self.assertIsNone(when.next_due("once", "5", "UTC", 5, 6))

    def test_a_start_that_matches_is_due(self):
        start = seconds("2030-01-01T09:00:00+00:00")
        with mock.patch.object(when, "cron", lambda _: matching([0], [9])):
            self.assertEqual(when.first_due("cron", "0 9 * * *", "UTC", start, 1000), start)
            self.assertEqual(when.first_due("cron", "0 9 * * *", "UTC", start + 1, 1000), start + 86400)
            self.assertEqual(when.next_due("cron", "0 9 * * *", "UTC", start, start + 3 * 86400 + 5), start + 4 * 86400)
