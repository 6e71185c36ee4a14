"""The schedules and their deliveries in SQLite, safe under concurrent calls: each change is one transaction."""

import fcntl
import os
import sqlite3
import uuid
from contextlib import contextmanager
from pathlib import Path

import when
from errors import Refused

# Each brings the schema from its index to the next version. Those that have shipped never change.
MIGRATIONS = [
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE schedules (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        agent_id TEXT NOT NULL,
        prompt TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('once', 'cron', 'every')),
        rule TEXT NOT NULL,
        timezone TEXT NOT NULL,
        start_at INTEGER,
        end_at INTEGER,
        max_repetitions INTEGER,
        repetitions INTEGER NOT NULL DEFAULT 0,
        next_due INTEGER,
        status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'done', 'cancelled')),
        problem TEXT,
        created_at INTEGER NOT NULL,
        created_by TEXT
    );
    CREATE INDEX schedules_due ON schedules (next_due) WHERE status = 'active';
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        schedule_id INTEGER NOT NULL REFERENCES schedules (id),
        due INTEGER NOT NULL,
        otid TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'delivered', 'dead', 'cancelled')),
        -- Whether Letta may have the message although it never said so.
        doubtful INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        try_at INTEGER NOT NULL,
        claim TEXT,
        claimed_until INTEGER,
        finished_at INTEGER,
        error TEXT,
        UNIQUE (schedule_id, due)
    );
    CREATE INDEX deliveries_open ON deliveries (state, try_at) WHERE state IN ('waiting', 'sending');
    """,
]

KEPT = 90 * 86400  # Finished deliveries, in seconds.


class Store:
    """One open database. `directory` is the plugin's state directory."""

    def __init__(self, directory):
        self.path = Path(directory) / "promptyoself.sqlite3"
        try:
            # Made before SQLite does, so that prompts are never readable by others.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self.database = sqlite3.connect(str(self.path), timeout=15, isolation_level=None)
            self.database.row_factory = sqlite3.Row
            with open(self.path.with_suffix(".lock"), "w") as lock:
                # SQLite does not wait where two processes turn WAL on at once, so they take turns here.
                fcntl.flock(lock, fcntl.LOCK_EX)
                self.database.execute("PRAGMA journal_mode = WAL")
                self._migrate()
            # A claim must survive a loss of power: it is what keeps a prompt from being sent twice.
            self.database.execute("PRAGMA synchronous = FULL")
            self.database.execute("PRAGMA foreign_keys = ON")
            self.install = self.database.execute("SELECT value FROM meta WHERE name = 'install'").fetchone()[0]
        except (OSError, sqlite3.Error) as error:
            raise Refused(f"cannot open `{self.path}`: {error}; check that SMCP_STATE_DIR is writable and has space") from None

    def close(self):
        self.database.close()

    def _migrate(self):
        version = self.database.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise Refused(
                f"`{self.path}` was written by a newer promptyoself (schema {version}, this one knows {len(MIGRATIONS)}):"
                " install that version again, or move the file away"
            )
        for number in range(version, len(MIGRATIONS)):
            with self._transaction():
                for statement in MIGRATIONS[number].split(";\n"):
                    self.database.execute(statement)
                if number == 0:
                    self.database.execute("INSERT INTO meta VALUES ('install', ?)", (str(uuid.uuid4()),))
                self.database.execute(f"PRAGMA user_version = {number + 1}")

    @contextmanager
    def _transaction(self):
        # IMMEDIATE: a transaction that reads first and then writes could otherwise fail for a concurrent writer.
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def add(self, schedule):
        columns = ", ".join(schedule)
        places = ", ".join(":" + name for name in schedule)
        with self._transaction():
            return self.database.execute(f"INSERT INTO schedules ({columns}) VALUES ({places})", schedule).lastrowid

    def schedules(self, agent_id=None, all=False):
        return self.database.execute(
            "SELECT * FROM schedules WHERE (:agent IS NULL OR agent_id = :agent) AND (:all OR status = 'active') ORDER BY id",
            {"agent": agent_id, "all": all},
        ).fetchall()

    def schedule(self, id):
        row = self.database.execute("SELECT * FROM schedules WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise Refused(f"there is no schedule {id}: `list --all` shows those there are")
        return row

    def cancel(self, id, now):
        """Returns whether the schedule was still active; what waits to be sent for it is given up in any case."""
        with self._transaction():
            self.schedule(id)
            changed = self.database.execute(
                "UPDATE schedules SET status = 'cancelled', next_due = NULL WHERE id = ? AND status = 'active'", (id,)
            ).rowcount
            waiting = self.database.execute(
                "UPDATE deliveries SET state = 'cancelled', finished_at = ? WHERE schedule_id = ? AND state = 'waiting'",
                (now, id),
            ).rowcount
        return bool(changed), waiting

    def history(self, id=None, limit=50):
        return self.database.execute(
            "SELECT d.*, s.agent_id, s.timezone FROM deliveries d JOIN schedules s ON s.id = d.schedule_id"
            " WHERE :id IS NULL OR schedule_id = :id ORDER BY d.id DESC LIMIT :limit",
            {"id": id, "limit": limit},
        ).fetchall()

    def open_deliveries(self):
        return self.database.execute("SELECT count(*) FROM deliveries WHERE state IN ('waiting', 'sending')").fetchone()[0]

    def problems(self):
        return self.database.execute(
            "SELECT id, problem FROM schedules WHERE status = 'active' AND problem IS NOT NULL ORDER BY id"
        ).fetchall()

    def enqueue(self, now):
        """Makes one delivery of each schedule that is due, however many times it was due, and sets its next time."""
        with self._transaction():
            self.database.execute(
                "DELETE FROM deliveries WHERE state NOT IN ('waiting', 'sending') AND finished_at < ?", (now - KEPT,)
            )
            due = self.database.execute(
                "SELECT * FROM schedules WHERE status = 'active' AND next_due <= ?", (now,)
            ).fetchall()
            for schedule in due:
                try:
                    following = when.next_due(
                        schedule["kind"], schedule["rule"], schedule["timezone"], schedule["next_due"], now
                    )
                except Refused as reason:
                    # Without croniter or the zone's data there is no next time. It stays due until they are back.
                    self.database.execute("UPDATE schedules SET problem = ? WHERE id = ?", (str(reason), schedule["id"]))
                    continue
                self._due(schedule, following, now)

    def _due(self, schedule, following, now):
        key = f"{schedule['id']}:{schedule['next_due']}"
        self.database.execute(
            "INSERT OR IGNORE INTO deliveries (schedule_id, due, otid, state, try_at) VALUES (?, ?, ?, 'waiting', ?)",
            (schedule["id"], schedule["next_due"], str(uuid.uuid5(uuid.UUID(self.install), key)), now),
        )
        repetitions = schedule["repetitions"] + 1
        over = (
            following is None
            or (schedule["max_repetitions"] is not None and repetitions >= schedule["max_repetitions"])
            or (schedule["end_at"] is not None and following > schedule["end_at"])
        )
        self.database.execute(
            "UPDATE schedules SET repetitions = ?, next_due = ?, status = ?, problem = NULL WHERE id = ?",
            (repetitions, None if over else following, "done" if over else "active", schedule["id"]),
        )

    def claim(self, now, until):
        """Takes one delivery for this process alone, before anything is sent; nothing where none is to be sent.

        One that another process took and never finished is free again after `claimed_until`, and doubtful.
        """
        with self._transaction():
            row = self.database.execute(
                "SELECT d.*, s.agent_id, s.prompt FROM deliveries d JOIN schedules s ON s.id = d.schedule_id"
                " WHERE (d.state = 'waiting' AND d.try_at <= :now) OR (d.state = 'sending' AND d.claimed_until <= :now)"
                " ORDER BY d.try_at, d.id LIMIT 1",
                {"now": now},
            ).fetchone()
            if row is None:
                return None
            claim = str(uuid.uuid4())
            doubtful = bool(row["doubtful"]) or row["state"] == "sending"
            self.database.execute(
                "UPDATE deliveries SET state = 'sending', attempts = attempts + 1, doubtful = ?, claim = ?,"
                " claimed_until = ? WHERE id = ?",
                (doubtful, claim, until, row["id"]),
            )
        return {**row, "attempts": row["attempts"] + 1, "doubtful": doubtful, "claim": claim}

    def settle(self, delivery, state, now, error=None, try_at=None, doubtful=False):
        """Records how a claimed delivery went. Another process may have taken it over since: then its word counts."""
        with self._transaction():
            self.database.execute(
                "UPDATE deliveries SET state = ?, error = ?, try_at = coalesce(?, try_at), doubtful = ?, claim = NULL,"
                " claimed_until = NULL, finished_at = ? WHERE id = ? AND claim = ?",
                (state, error, try_at, doubtful, None if state == "waiting" else now, delivery["id"], delivery["claim"]),
            )
            # Cancelled while it was being sent: it is not tried again.
            self.database.execute(
                "UPDATE deliveries SET state = 'cancelled', finished_at = ? WHERE id = ? AND state = 'waiting'"
                " AND (SELECT status FROM schedules WHERE id = schedule_id) = 'cancelled'",
                (now, delivery["id"]),
            )
