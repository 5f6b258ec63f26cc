"""Makes proofs from a home's log, and watches other logs over HTTP, for the audit commands."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.fetch import FetchFailed, open_client
from gateway.audit.note import Checkpoint, NoteInvalid, Policy, Verifier, read_unsigned
from gateway.audit.publishing.monitor import (
    Contradicted,
    Fetch,
    NotServed,
    Seen,
    check_extends,
    look,
)
from gateway.audit.publishing.proofs import (
    checkpoint_of,
    find_place,
    format_proved,
    prove_consistency,
    prove_exchange,
    prove_index,
)
from gateway.audit.reading.reader import find_log
from gateway.audit.search.access import NOT_FOUND, prove_record
from gateway.audit.store import LogUnavailable
from gateway.cli.audit_log import append, console_reader, use_of
from gateway.cli.audit_options import identifier
from gateway.cli.output import Exit, Stop, line, show_json, tell
from gateway.data_plane import log_home
from gateway.settings import Settings


def prove(
    settings: Settings, exchange_id: str | None, index: int | None, *, tlog_proof: bool, use: str
) -> str:
    """Return proved records, or one tlog-proof; that they were asked for is recorded first.

    Raises:
        Stop: there is no such record, or no checkpoint covers it yet.
    """
    directory, declared = log_home(settings), use_of(use)
    wanted = identifier(exchange_id) if exchange_id is not None else None
    try:
        newest = find_log(directory)
        append(settings, prove_record(console_reader(), declared, wanted or index or 0))
        if wanted is None:
            record, proof = prove_index(newest, index or 0)
            if proof is None:
                raise _too_new()
            return proof if tlog_proof else format_proved([(record.entry.decode(), proof, {})])
        place = find_place(directory, wanted)
        if place is None:
            raise Stop(f"{exchange_id} {NOT_FOUND}", code=Exit.FAILED)
        text = prove_exchange(place, wanted)
    except LogUnavailable as failure:
        raise _no_log(failure) from None
    except LookupError as absent:
        raise Stop(str(absent), code=Exit.FAILED) from None
    if '"proof": null' in text:
        raise _too_new()
    return text


def prove_growth(settings: Settings, old: str, new: str) -> str:
    """Return the proof that the log of one size, or checkpoint, grew into another."""
    try:
        place = find_log(log_home(settings))
        old_note, new_note = (
            checkpoint_of(place, int(one)) if one.isdecimal() else _text(Path(one))
            for one in (old, new)
        )
        return prove_consistency(place, read_unsigned(old_note).size, new_note)
    except LogUnavailable as failure:
        raise _no_log(failure) from None
    except (LookupError, ValueError) as impossible:
        raise Stop(str(impossible), mend="give sizes, or files, of its checkpoints") from None


def policy_of(vkey: str | None, file: Path | None) -> Policy:
    """Return whom to trust; raises Stop where that is not said."""
    try:
        if file is not None:
            return Policy.parse(_text(file))
        return Policy(logs=(Verifier.parse(vkey or ""),))
    except NoteInvalid as unusable:
        mend = "--vkey KEY or --policy FILE, from the log's publisher"
        raise Stop(f"whom to trust is not said: {unusable}", mend=mend) from None


def compare(first: Path, second: Path, url: str | None, policy: Policy) -> tuple[str, bool | None]:
    """Return what two checkpoints are to each other, and whether that is well; None: unknown."""
    try:
        known, newest = sorted(
            (policy.open(_text(one)) for one in (first, second)), key=lambda head: head.size
        )
    except NoteInvalid as invalid:
        return f"a checkpoint cannot be trusted: {invalid}", False
    what = f"{newest.origin} of sizes {known.size} and {newest.size}"
    if known == newest:
        return f"{what}: the same", True
    if known.origin == newest.origin and known.size == newest.size:
        return f"{what}: FORKED, one size has two roots", False
    if url is None:
        return f"{what}: give --url, where the log serves its hashes", None
    try:
        asyncio.run(_compare(url, known, newest))
    except (NotServed, FetchFailed) as unclear:
        return f"{what}: {unclear}", None
    except Contradicted as contradicted:
        return f"{what}: FORKED, {contradicted}", False
    return f"{what}: the later extends the earlier", True


def watch(
    url: str, policy: Policy, state: Path, *, once: bool, interval_s: float, as_json: bool
) -> None:
    """Look at a log until it contradicts itself, or once.

    Raises:
        Stop: it contradicts itself; or, looking once, nothing can be told.
    """
    known = _text(state) if state.exists() else None
    try:
        if known is not None:
            policy.open(known)
    except NoteInvalid as foreign:
        mend = "name another --state; or give the key or policy that it was seen with"
        raise Stop(f"{state} is no checkpoint to go on from: {foreign}", mend=mend) from None
    found = _Found(state, known, as_json=as_json)
    try:
        asyncio.run(_watch(url, policy, found, once=once, interval_s=interval_s))
    except (Contradicted, NoteInvalid) as contradicted:
        raise Stop(f"{url}: {contradicted}", code=Exit.FAILED) from None
    except (NotServed, FetchFailed) as unclear:
        raise Stop(f"{url}: {unclear}", mend="try again, or mend the address") from None


class _Found:
    """What a monitor has seen, and where it keeps that."""

    def __init__(self, state: Path, known: str | None, *, as_json: bool) -> None:
        self.known = known
        self._state = state
        self._as_json = as_json

    def take(self, seen: Seen, *, say: bool) -> None:
        """Keep a checkpoint, whole or not at all, and tell of a new one."""
        new, self.known = seen.note != self.known, seen.note
        if new:
            draft = self._state.with_name(f".{self._state.name}")
            with draft.open("w", encoding="utf-8") as file:
                file.write(seen.note)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._state)
        head = seen.checkpoint
        if (new or say) and self._as_json:
            show_json({"origin": head.origin, "size": head.size, "root": head.root.hex()})
        elif new or say:
            line(f"{head.origin} of size {head.size} extends what was seen; {head.root.hex()}")

    def keep_evidence(self, served: bytes) -> None:
        """Keep what contradicts the state, or does not satisfy the policy, beside it."""
        self._state.with_name(f"{self._state.name}.contradiction").write_bytes(served)


async def _watch(url: str, policy: Policy, found: _Found, *, once: bool, interval_s: float) -> None:
    async with _served(url) as fetch:
        while True:
            try:
                found.take(await _look(fetch, policy, found), say=once)
            except (NotServed, FetchFailed) as unclear:
                if once:
                    raise
                tell(f"{url}: {unclear}; asking again")
            if once:
                return
            await asyncio.sleep(interval_s)


async def _look(fetch: Fetch, policy: Policy, found: _Found) -> Seen:
    served: list[bytes] = []  # the checkpoint comes first

    async def keeping(path: str) -> bytes | None:
        content = await fetch(path)
        served.append(content or b"")
        return content

    try:
        return await look(keeping, policy, found.known)
    except (Contradicted, NoteInvalid):
        found.keep_evidence(served[0])
        raise


async def _compare(url: str, known: Checkpoint, newest: Checkpoint) -> None:
    async with _served(url) as fetch:
        await check_extends(fetch, known, newest)


@asynccontextmanager
async def _served(url: str) -> AsyncIterator[Fetch]:
    """Answer for what lies below a prefix; any status but 200 and 404 raises FetchFailed."""
    async with open_client() as caller:

        async def fetch(path: str) -> bytes | None:
            answer = await caller.request("GET", f"{url.rstrip('/')}/{path}")
            if answer.status == 404:
                return None
            if answer.status != 200:
                raise FetchFailed(f"answered with status {answer.status}")
            return answer.body

        yield fetch


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Stop(f"{path} cannot be read") from None


def _too_new() -> Stop:
    return Stop("no checkpoint covers the record yet", mend="try again in a second")


def _no_log(failure: LogUnavailable) -> Stop:
    return Stop(str(failure), mend="run the gateway once: concordat serve")
