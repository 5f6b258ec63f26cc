"""Forwarding: every record that a published checkpoint covers, told to a SIEM as it comes.

What is sent is the OCSF event of `events`, and nothing personal unless that was asked for.
A cursor beside the log says from where on a record may not have arrived; after a failure or a crash
it begins there again, so that each event arrives at least once. Receivers know one that came twice
by its `metadata.uid`.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from gateway.audit.disk.locks import FileLock
from gateway.audit.entry import EntryInvalid, Kind, Record
from gateway.audit.exports.events import is_event, ocsf_event
from gateway.audit.exports.selection import Selection, pick
from gateway.audit.keys.log_keys import LogKeys, sync_directory
from gateway.audit.place import LogHome, Place, PostgresHome
from gateway.audit.publishing.published import published_head
from gateway.audit.reading.reader import find_shards, shard_name, snapshot
from gateway.audit.search.access import AccessLog, Use
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7, system_time_us, uuid_text

INTERVAL_S: Final = 1.0
RECORDS_PER_BATCH_MAX: Final = 256
"""About half a MiB of events without personal sections."""
BACK_OFF_S_MAX: Final = 60.0
"""The longest pause after failures in a row; it begins with `INTERVAL_S` and doubles."""


class ForwardFailed(Exception):
    """Events could not be forwarded; the text is one phrase without content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """One event as it leaves: `body` is an OCSF API Activity; times are microseconds."""

    uid: str
    kind: Kind
    at_us: int
    alert: bool
    refused: bool
    origin: str
    body: Mapping[str, object]


class Delivery(NamedTuple):
    """What a receiver has taken: how many octets, and how many events it refused for good."""

    octets: int
    rejected: int = 0


class Receiver(Protocol):
    """Where events go; its methods block, and raise ForwardFailed.

    `unread_bytes_max` is how much a delivery that succeeded may still lose with the receiver.
    """

    name: str
    unread_bytes_max: int

    def deliver(self, events: Sequence[Forwarded]) -> Delivery:
        """Hand over events; some may have arrived where this fails."""

    def probe(self) -> None:
        """Reach the receiver, and tell it nothing."""

    def close(self) -> None:
        """Give up the connection, and with it what another thread is sending."""


class Cursor(NamedTuple):
    """A place in the log: everything before the record `next_index` of `shard` was sent."""

    shard: str
    next_index: int


class Progress(NamedTuple):
    """How far a receiver is: up to where it has certainly read, and up to where it was sent."""

    kept: Cursor | None
    sent: Cursor | None


class Lag(NamedTuple):
    """How far a receiver is behind: records that wait, and the age of the oldest of them."""

    records: int
    seconds: float


class Forwarder:
    """Sends what is new to one receiver; of several processes of a host, one works at a time.

    It never holds the log open while a receiver makes it wait, and nothing waits for it.
    """

    def __init__(self, home: LogHome, receiver: Receiver, *, keys: LogKeys | None) -> None:
        """Forward the log of `home`, with personal sections opened where there are `keys`."""
        self._home = home
        self._receiver = receiver
        self._keys = keys
        self._lock = FileLock(_beside(home, receiver.name, ".lock"))
        self._kept = self._sent = read_progress(home, receiver.name).kept
        self._unread: deque[tuple[Cursor, int]] = deque()
        self._leads = False
        self.rejected = 0

    @property
    def name(self) -> str:
        """The receiver's."""
        return self._receiver.name

    async def run(self, log: AccessLog, report: Callable[[Exception | None], None]) -> None:
        """Record that the log is forwarded, then forward about once a second, until cancelled.

        `report` is told after every step whether it failed.
        """
        failures, recorded = 0, False
        try:
            while True:
                try:
                    if not recorded:
                        await log.append(forward_record(self.name, personal=self._keys is not None))
                        recorded = True
                    more = True
                    while more:
                        more = await asyncio.to_thread(self.step)
                        failures = 0
                        report(None)
                except (LogUnavailable, ForwardFailed) as failure:
                    failures += 1
                    report(failure)
                except Exception as failure:  # noqa: BLE001 - it must not end unnoticed
                    failures += 1
                    report(ForwardFailed(type(failure).__name__))
                await asyncio.sleep(back_off_s(failures))
        finally:
            self.close()

    def step(self) -> bool:
        """Forward the next records; tell whether there may be more at once.

        Raises:
            ForwardFailed: the receiver did not take them, or a record is damaged: it must not
                leave as if it were whole, nor be left out.
            LogUnavailable: the log cannot be read, or the cursor not kept.
        """
        if not self._lead():
            return False
        shards, at = _from(self._home, self._sent)
        place, later = shards[0], shard_name(shards[1]) if len(shards) > 1 else None
        head = published_head(place)
        size = head.size if head is not None else 0
        if at.next_index > size and later is None:
            raise ForwardFailed("more was forwarded than the log has published: it was taken back")
        if at.next_index >= size:
            # A shard that lost what was forwarded grows no more once it has ended; what was wrong
            # with it, the next one's first record says.
            if later is not None:
                self._advance(Cursor(later, 0), 0)
            return later is not None
        end = min(at.next_index + RECORDS_PER_BATCH_MAX, size)
        events = self._read(place, at.next_index, end)
        try:
            delivery = self._receiver.deliver(events) if events else Delivery(0)
        except ForwardFailed:
            self._sent = self._kept
            self._unread.clear()
            raise
        self.rejected += delivery.rejected
        self._advance(Cursor(at.shard, end), delivery.octets)
        return end < size or later is not None

    def lag(self) -> Lag:
        """Return how far the receiver is behind; raises LogUnavailable."""
        return lag_of(self._home, self._sent)

    def close(self) -> None:
        """Give up the receiver, and the lead."""
        self._receiver.close()
        self._lock.close()

    def _lead(self) -> bool:
        if not self._leads and self._lock.try_acquire():
            self._leads = True
            self._kept = self._sent = read_progress(self._home, self.name).kept
        return self._leads

    def _read(self, place: Place, start: int, end: int) -> list[Forwarded]:
        try:
            with snapshot(place) as db:
                origin = db.execute("SELECT origin FROM audit_head").fetchone()[0]
                picks = pick(db, Selection(), start=start, end=end, keys=self._keys)
                found = [(one, ocsf_event(one, origin)) for one in filter(is_event, picks)]
        except EntryInvalid as damaged:
            raise ForwardFailed("a record is damaged: see concordat audit verify") from damaged
        return [
            Forwarded(
                uid=uuid_text(picked.record_id),
                kind=picked.kind,
                at_us=picked.at_us,
                alert=bool(picked.section("core").get("alert")),
                refused=body["action_id"] != 1,
                origin=origin,
                body=body,
            )
            for picked, body in found
        ]

    def _advance(self, to: Cursor, octets: int) -> None:
        """Note what was sent, and keep from where on it may not have been read."""
        self._sent = to
        self._unread.append((to, octets))
        unread = sum(size for _, size in self._unread)
        kept = self._kept
        while self._unread and unread - self._unread[0][1] >= self._receiver.unread_bytes_max:
            kept, size = self._unread.popleft()
            unread -= size
        if kept is None:  # where a first start began is kept at once, or a next one might differ
            kept = Cursor(to.shard, 0)
        _write_progress(self._home, self.name, Progress(kept, to))
        self._kept = kept


def back_off_s(failures: int) -> float:
    """Return the pause after so many failures in a row."""
    return min(INTERVAL_S * 2.0 ** min(failures, 16), BACK_OFF_S_MAX) if failures else INTERVAL_S


def lag_of(home: LogHome, cursor: Cursor | None) -> Lag:
    """Return what a published checkpoint covers and has not been sent; raises LogUnavailable."""
    shards, at = _from(home, cursor)
    records, oldest_us, first = 0, None, at.next_index
    for shard in shards:
        head = published_head(shard)
        waiting = max(0, head.size - first) if head is not None else 0
        if waiting and oldest_us is None:
            with snapshot(shard) as db:
                row = db.execute("SELECT t FROM audit_record WHERE leaf_index = ?", (first,))
                oldest_us = row.fetchone()[0]
        records, first = records + waiting, 0
    age_us = system_time_us() - oldest_us if oldest_us is not None else 0
    return Lag(records, max(0, age_us) / 1_000_000)


def _from(home: LogHome, cursor: Cursor | None) -> tuple[Sequence[Place], Cursor]:
    """Return the shards from the cursor's on, and the cursor.

    The first time that is the newest shard, from its beginning.
    """
    shards = find_shards(home)
    if not shards:
        raise LogUnavailable("there is no audit log")
    names = [shard_name(shard) for shard in shards]
    if cursor is None or cursor.shard not in names:
        cursor = Cursor(names[-1], 0)
    return shards[names.index(cursor.shard) :], cursor


def forward_record(receiver: str, *, personal: bool) -> Record:
    """Return the record that this gateway forwards its log, durable before the first event."""
    return Record(
        record_id=new_uuid7(),
        kind=Kind.EXPORT,
        exchange=None,
        at_us=system_time_us(),
        sections={
            "core": {
                "verb": "forward",
                "use": Use.INTEGRITY_AND_SECURITY.value,
                "format": "ocsf",
                "to": receiver,
                "personal": personal,
                "by": "settings",
            }
        },
    )


def read_progress(home: LogHome, receiver: str) -> Progress:
    """Return how far a receiver is, as the file beside the log says; raises LogUnavailable."""
    path = _beside(home, receiver)
    try:
        kept, sent = (line.split() for line in path.read_text("ascii").splitlines())
        return Progress(Cursor(kept[0], int(kept[1])), Cursor(sent[0], int(sent[1])))
    except FileNotFoundError:
        return Progress(None, None)
    except (OSError, ValueError, IndexError) as unreadable:
        raise LogUnavailable(f"{path.name} cannot be read") from unreadable


def _write_progress(home: LogHome, receiver: str, progress: Progress) -> None:
    """Write it whole or not at all: temporary file, sync, rename, sync."""
    path = _beside(home, receiver)
    draft = path.with_name(f".{path.name}")
    cursors = (one for one in progress if one is not None)
    try:
        with draft.open("w", encoding="ascii") as file:
            file.writelines(f"{cursor.shard} {cursor.next_index}\n" for cursor in cursors)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_directory(path.parent)
    except OSError as failure:
        raise LogUnavailable(f"{path.name} cannot be written") from failure


def _beside(home: LogHome, receiver: str, suffix: str = "") -> Path:
    directory = home.directory if isinstance(home, PostgresHome) else home
    return directory / f"forwarded-{receiver}{suffix}"
