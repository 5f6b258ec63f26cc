"""The invariants of audit-log.md, section 2.1, each held to what the files say after every step."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.audit.entry import KINDS_BY_TEXT, Kind, parse_entry
from gateway.audit.freeze import frozen_reason
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.merkle import (
    consistency_proof,
    inclusion_proof,
    open_receipt,
    read_base64url,
    verify_consistency,
    verify_inclusion,
)
from gateway.audit.note import open_checkpoint
from gateway.audit.people import year_of
from gateway.audit.reading.reader import find_shards, shard_name, snapshot
from gateway.audit.search.index import (
    Range,
    Tagged,
    index_snapshot,
    members,
    search_index,
    watermark,
)
from gateway.audit.search.opening import COLUMNS, Found, Opener, Wrapped, found
from gateway.audit.search.query import seek_person
from gateway.audit.tree import StoredTree, read_sealed_head
from tests.faults.model import ENDINGS, NEVER_US, Line, Model, ShardModel
from tests.gateway.audit.erasing import ANN, BOB
from tests.gateway.audit.lifecycle.test_shards import HOST

PEOPLE: Final = (ANN, BOB)


_RECORDS: Final = f"SELECT {COLUMNS}, entry FROM audit_record ORDER BY leaf_index"  # noqa: S608 - constants


@dataclass
class Seen:
    """What one shard's file holds at one moment."""

    path: Path
    origin: str
    next_index: int
    records: list[Found]
    entries: list[bytes]
    keys: dict[int, Wrapped]
    open: dict[bytes, str]
    claims: set[bytes]
    counters: dict[bytes, int]
    notes: dict[int, str]


@dataclass
class Sight:
    """All shards, oldest first, the head outside of them, and what was checked at earlier steps.

    `opened` remembers by shard and index what of a record was checked under which keys: nothing is
    opened twice that has not changed.
    """

    keys: LogKeys
    shards: list[Seen] = field(default_factory=list)
    sealed_head: str | None = None
    opened: dict[tuple[str, int], tuple[bytes | None, frozenset[str]]] = field(default_factory=dict)
    joined: set[tuple[str, int, int]] = field(default_factory=set)

    def look(self, audit: Path, model: Model) -> None:
        """Read everything anew, and let the model take the records that are new."""
        self.sealed_head = read_sealed_head(audit)
        self.shards = []
        for number, path in enumerate(find_shards(audit)):
            with snapshot(path) as db:
                seen = _seen(db, path)
                if number == len(model.shards):
                    model.shards.append(ShardModel(seen.origin))
                shard = model.shards[number]
                opener = Opener(db, self.keys)
                for record in seen.records[len(shard.lines) :]:
                    model.take(shard, _line(record, seen, opener))
            self.shards.append(seen)
        newest = model.shards[-1]
        if self.sealed_head is not None and self.sealed_head.startswith(f"{newest.origin}\n"):
            size = int(self.sealed_head.split("\n")[1])
            newest.published.setdefault(size, self.sealed_head)


def _seen(db: Any, path: Path) -> Seen:
    rows = db.execute(_RECORDS).fetchall()
    keys = db.execute("SELECT leaf_index, kek_id, wrapped FROM audit_key")
    claims = db.execute("SELECT key FROM audit_claim WHERE expires = ?", (NEVER_US,))
    return Seen(
        path=path,
        origin=f"{HOST}/audit/{shard_name(path)}",
        next_index=db.execute("SELECT next_index FROM audit_head").fetchone()[0],
        records=[found(row[:-1]) for row in rows],
        entries=[row[-1] for row in rows],
        keys={index: Wrapped(day, wrapped) for index, day, wrapped in keys},
        open=dict(db.execute("SELECT exchange, instance FROM audit_open")),
        claims={key for (key,) in claims},
        counters=dict(db.execute("SELECT key, value FROM audit_counter")),
        notes=dict(db.execute("SELECT size, note FROM audit_checkpoint")),
    )


def _line(record: Found, seen: Seen, opener: Opener) -> Line:
    assert record.kind is not None, "I3: nobody appended a kind that there is not"
    opened = opener.open_with(record, seen.keys.get(record.index))
    sections: dict[str, dict[str, Any]] = {"core": record.core()}
    for name, section in opened.items():
        assert isinstance(section, dict), "I9: a section was never readable"
        sections[name] = section
    return Line(
        index=record.index, record_id=record.record_id, exchange=record.exchange, kind=record.kind,
        at_us=record.at_us, leaf_hash=record.leaf_hash, stored=record.sections, sections=sections,
    )  # fmt: skip


def i1_nothing_is_asked_for_without_an_intent(model: Model, sight: Sight) -> None:
    """Every exchange whose service was asked has its intent in the log."""
    begun = {record.exchange for seen in sight.shards for record in seen.records
             if record.kind is Kind.INTENT}  # fmt: skip
    assert model.asked <= begun, "I1: the service was asked, and no intent is in the log"


def i2_nothing_is_released_without_an_outcome(model: Model, sight: Sight) -> None:
    """Every exchange whose answer was released has its outcome in the log."""
    ended = {record.exchange for seen in sight.shards for record in seen.records
             if record.kind in (Kind.OUTCOME, Kind.LATE_OUTCOME)}  # fmt: skip
    assert model.released <= ended, "I2: an answer was released, and no outcome is in the log"


def i3_what_was_acknowledged_is_there(model: Model, sight: Sight) -> None:
    """Acknowledged bytes are at their index, and whatever was once there is still there."""
    for shard, seen in zip(model.shards, sight.shards, strict=True):
        for index, leaf_hash in shard.acknowledged.items():
            assert index < len(seen.records), "I3: an acknowledged record is gone"
            assert seen.records[index].leaf_hash == leaf_hash, "I3: another record is at its index"
        for line, record, entry in zip(shard.lines, seen.records, seen.entries, strict=True):
            assert hashlib.sha256(b"\0" + entry).digest() == line.leaf_hash, "I3: the entry changed"
            assert record.leaf_hash == line.leaf_hash, "I3: the leaf hash changed"
            assert record.sections == line.stored, "I3: the stored sections changed"


def i4_indices_identifiers_and_endings_are_single(model: Model, sight: Sight) -> None:
    """Indices have no gap, identifiers and endings no double, and state is what records made it."""
    identifiers: Counter[bytes] = Counter()
    endings: Counter[bytes | None] = Counter()
    for seen in sight.shards:
        indices = [record.index for record in seen.records]
        assert indices == list(range(seen.next_index)), "I4: a gap or a repeated index"
        for record, entry in zip(seen.records, seen.entries, strict=True):
            identifiers[record.record_id] += 1
            endings[record.exchange] += record.kind in ENDINGS
            parsed = parse_entry(entry)
            assert (parsed.record_id, parsed.exchange) == (record.record_id, record.exchange)
            assert KINDS_BY_TEXT[parsed.kind] is record.kind
    assert set(identifiers.values()) == {1}, "I4: a record is in the log twice"
    assert max(endings.values()) <= 1, "I4: an exchange has two terminal records"
    newest = sight.shards[-1]
    assert newest.open == model.open, "I4: what is open is not what was begun and not ended"
    assert newest.claims == model.claims, "I4: what is claimed is not what records claimed"
    assert newest.counters == model.counters, "I4: a counter does not count what records said"


def i5_all_checkpoints_are_of_one_history(model: Model, sight: Sight) -> None:
    """Every head that ever left, and every stored one, signs the root of the records' prefix."""
    for shard, seen in zip(model.shards, sight.shards, strict=True):
        verifier = sight.keys.signer(shard.origin).verifier
        for size, note in {**seen.notes, **shard.published}.items():
            head = open_checkpoint(note, verifier)
            assert head.size == size <= len(shard.lines), "I5: a head is ahead of its log"
            assert head.root == shard.root(size), f"I5: the head of size {size} signs another root"
        for size, note in shard.published.items():
            assert seen.notes.get(size) == note, "I5: a published head is not in the log"
        sizes = sorted(shard.published)
        for old_size, size in itertools.pairwise(sizes):
            if (shard.origin, old_size, size) in sight.joined:
                continue
            with snapshot(seen.path) as db:
                proof = consistency_proof(old_size, size, StoredTree(db).subtree)
            verify_consistency(old_size, size, shard.root(old_size), shard.root(size), proof)
            sight.joined.add((shard.origin, old_size, size))


def i6_receipts_are_kept(model: Model, sight: Sight) -> None:
    """Every receipt's record is at its place, and covered by the newest head if that reaches it."""
    for shard, seen in zip(model.shards, sight.shards, strict=True):
        signer = sight.keys.receipt_signer(shard.origin)
        newest = max(shard.published, default=0)
        for text in shard.receipts:
            receipt = open_receipt(text, [read_base64url(signer.public_text)])
            record = seen.records[receipt.place]
            kept = (record.leaf_hash, record.exchange)
            promised = (receipt.leaf_hash, receipt.exchange)
            assert kept == promised, "I6: a receipt's record is not at its place"
            mark = (shard.origin, receipt.place, -1)
            if receipt.place < newest and mark not in sight.joined:
                with snapshot(seen.path) as db:
                    proof = inclusion_proof(receipt.place, newest, StoredTree(db).subtree)
                root = verify_inclusion(receipt.leaf_hash, receipt.place, newest, proof)
                assert root == shard.root(newest), "I6: a receipt's record is not under the head"
                sight.joined.add(mark)


def i8_only_orphans_are_without_an_end(model: Model, sight: Sight) -> None:
    """What is open belongs to a living process, or to one that died since the last sweep."""
    for exchange, instance in sight.shards[-1].open.items():
        assert instance in model.alive or exchange in model.orphans, "I8: an intent has no end"
    for seen in sight.shards[:-1]:
        assert not seen.open, "I8: an ended shard has an open exchange"


def i9_what_is_erased_is_gone_and_nothing_else(model: Model, sight: Sight) -> None:
    """Every section opens to what it said, or is told as erased and opens with no key left."""
    for shard, seen in zip(model.shards, sight.shards, strict=True):
        with snapshot(seen.path) as db:
            opener = Opener(db, sight.keys)
            for line, record in zip(shard.lines, seen.records, strict=True):
                wrapped = seen.keys.get(line.index)
                left = model.left(shard, line)
                mark, state = (shard.origin, line.index), (wrapped and wrapped.keys, left)
                if line.sealed and sight.opened.get(mark) != state:
                    _check_opening(line, left, opener.open_with(record, wrapped))
                    sight.opened[mark] = state


def _check_opening(line: Line, left: frozenset[str], opened: Mapping[str, object]) -> None:
    for name in line.sealed:
        if name in left:
            assert opened[name] == line.sections[name], "I9: what was not erased cannot be read"
        else:
            assert opened[name] is None, "I9: what was erased can be read"
    readable = {name for name, section in opened.items() if section is not None} - {"peer"}
    assert readable == left, "I9: what is gone is not what the log says was erased"


def i10_a_healthy_log_is_not_frozen(model: Model, sight: Sight) -> None:
    """After each step, freezing steps included, the log is whole and takes records again."""
    assert frozen_reason(sight.shards[-1].path.parent) is None, "I10: the log is frozen"


ALL: Final[tuple[Callable[[Model, Sight], None], ...]] = (
    i1_nothing_is_asked_for_without_an_intent,
    i2_nothing_is_released_without_an_outcome,
    i3_what_was_acknowledged_is_there,
    i4_indices_identifiers_and_endings_are_single,
    i5_all_checkpoints_are_of_one_history,
    i6_receipts_are_kept,
    i8_only_orphans_are_without_an_end,
    i9_what_is_erased_is_gone_and_nothing_else,
    i10_a_healthy_log_is_not_frozen,
)


def hold(model: Model, sight: Sight, audit: Path) -> None:
    """Look, and hold everything that is seen to every invariant."""
    sight.look(audit, model)
    assert not model.expected, "I3: a record that was acknowledged is not in the log"
    for check in ALL:
        check(model, sight)


def index_is_right(model: Model, sight: Sight) -> None:
    """What lies before the index's watermark is found, and of erased people nothing is.

    What was erased behind the watermark is forgotten when the watermark passes the record of it.
    """
    shard, seen = model.shard, sight.shards[-1]
    firsts: dict[bytes, int] = {}
    with index_snapshot(seen.path) as index:
        mark = watermark(index).next_index
        assert mark <= len(shard.lines), "the watermark is ahead of the log"
        parts: dict[bytes, list[int]] = {}
        for line in shard.lines[:mark]:
            firsts.setdefault(line.whole, line.index)
            if line.exchange is not None:
                parts.setdefault(line.exchange, []).append(line.index)
        for exchange, indices in parts.items():
            assert members(index, exchange) == indices, "a record before the watermark is not found"
        for person in PEOPLE:
            tags = seek_person(f"{person.id_type}:{person.normalised_id}", sight.keys).tags
            hits = search_index(index, [Tagged(tags)], Range(), len(shard.lines)) if tags else None
            found_of = set(hits.indices) if hits is not None else set()
            named = {firsts[one] for one in model.about(person) if one in firsts}
            # What began on a day whose key is gone may be forgotten whole, whenever it ended.
            # What was made in a year that has no key, as on New Year's Day, has no tag.
            sure = {
                first for first in named
                if shard.lines[first].day not in model.days_gone
                and year_of(shard.lines[first].at_us) in sight.keys.subject_years()
            }  # fmt: skip
            assert sure <= found_of, "somebody before the watermark is not found"
            if mark == len(shard.lines):
                assert found_of <= named, "I9: an erased person is found"
