"""Check what came out of a log: records, and hashes for what lies between, lead to a signed root.

This file is copied into every evidence pack, and runs there with Python alone: it imports the
standard library only, and is handed what checks a signature.

A file of lines, each one JSON object:

* the first one says what the file is: `concordat_export` (the version, 1), the log's `origin` and
  `size`, and whatever else the exporter claims;
* `{"index": …, "entry": "…", "sections": {name: {"salt": …, "body": "…"} | "closed" | "erased"}}`
  is a record: its entry is the leaf, and an open section has the commitment that the entry holds;
* `{"from": …, "to": …, "hash": …}` stands for records that are not in the file: the hash of the
  perfect subtree over them;
* the last one is `{"checkpoint": "…"}`, the log's signed head.

Records and hashes follow one another from index 0 to the head's size, so that the root over all of
them can be computed (RFC 6962) and compared with the signed one.

A log goes on in shards, each with an origin, indices and a head of its own. A file may hold what is
of several shards, one after the other, each as above from its first line to its checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

VERSION: Final = 1
LINE_BYTES_MAX: Final = 4_000_000
ORIGIN_CHARS_TOLD_MAX: Final = 200
FAULTS_TOLD_MAX: Final = 1_000
SHARDS_MAX: Final = 1_000
SIZE_MAX: Final = 1 << 62
"""More records than any log has, and still a number that everything can print."""

_HASH_BYTES: Final = 32
_ED25519: Final = 1
_ENTRY_MEMBERS: Final = frozenset({"c", "id", "kind", "t", "v", "x"})

Accepts = Callable[[bytes, bytes, bytes], bool]
"""Tells whether an Ed25519 public key made a signature over a message, in this order."""
Opens = Callable[[str], tuple[str, int, bytes]]
"""Answers origin, size and root of a signed head; raises ValueError where nobody trusted signed."""


class Unreadable(ValueError):
    """The file is not an export, or its end is missing: nothing can be told."""


class KeyMalformed(Unreadable):
    """What was given is not a log's key, perhaps mistyped: it says nothing against the file."""


class KeyMissing(Unreadable):
    """No key was given for a log that the file is of: it says nothing against the file."""


class Summary(NamedTuple):
    """What a check found of one shard.

    `complete` are the first and last index of the records in the file if none between them is
    left out. Faults are an index, or -1 for the whole file, and what is wrong there.
    """

    origin: str
    size: int
    records: int
    opened: int
    closed: int
    erased: int
    complete: tuple[int, int] | None
    faults: tuple[tuple[int, str], ...]

    @property
    def ok(self) -> bool:
        """Tell whether everything holds."""
        return not self.faults


def check_lines(lines: Iterable[bytes], vkeys: Sequence[str], accepts: Accepts) -> list[Summary]:
    """Check an export against the keys of its shards, as their publisher gave them.

    Keys are as in C2SP signed-note. Raises Unreadable where the lines are no export, KeyMalformed
    before any is read, KeyMissing where no key is given for a shard.
    """
    try:
        for vkey in vkeys:
            _parse_vkey(vkey)
    except ValueError as malformed:
        raise KeyMalformed("what was given is not the key of a log (vkey)") from malformed

    def opens(note: str) -> tuple[str, int, bytes]:
        origin = note.partition("\n")[0]
        for vkey in vkeys:
            if vkey.partition("+")[0] == origin:
                return open_checkpoint(note, vkey, accepts)
        raise KeyMissing(f"no key was given for the log {origin[:ORIGIN_CHARS_TOLD_MAX]!r}")

    return check_opened(lines, opens)


def check_opened(lines: Iterable[bytes], opens: Opens) -> list[Summary]:
    """Check an export whose signed heads are to be believed where `opens` says so.

    Raises Unreadable where the lines are no export.
    """
    found: list[Summary] = []
    check = _Check()
    for line in lines:
        value = _object(line)
        if check.is_whole and "concordat_export" in value:
            found.append(check.end(opens))
            if len(found) >= SHARDS_MAX:
                raise Unreadable(f"the file is of more than {SHARDS_MAX} shards")
            check = _Check()
        check.take(value)
    return of_different_shards([*found, check.end(opens)])


def of_different_shards(found: list[Summary]) -> list[Summary]:
    """Return what was found if each is of another shard; raise Unreadable where one is twice."""
    if len({summary.origin for summary in found}) < len(found):
        raise Unreadable("the export holds one shard twice")
    return found


class _Check:
    def __init__(self) -> None:
        self._head: dict[str, Any] | None = None
        self._checkpoint: str | None = None
        self._tree: list[tuple[int, bytes]] = []  # height and hash, the largest first
        self._position = 0
        self._records = self._opened = self._closed = self._erased = 0
        self._first = self._last = -1
        self._faults: list[tuple[int, str]] = []

    @property
    def is_whole(self) -> bool:
        return self._checkpoint is not None

    def take(self, line: dict[str, Any]) -> None:
        if self._head is None:
            origin, size = line.get("origin"), line.get("size")
            known = line.get("concordat_export") == VERSION
            named = isinstance(origin, str) and origin.isprintable()
            if not known or not named or type(size) is not int:
                raise Unreadable("this is not an export of an audit log")
            self._head = line
        elif self._checkpoint is not None:
            raise Unreadable("something follows the checkpoint")
        elif "entry" in line:
            self._take_record(line)
        elif "hash" in line:
            self._take_hash(line)
        elif isinstance(line.get("checkpoint"), str):
            self._checkpoint = line["checkpoint"]
        else:
            raise Unreadable("a line is neither a record nor a hash nor a checkpoint")

    def _take_record(self, line: dict[str, Any]) -> None:
        index, entry, sections = line.get("index"), line.get("entry"), line.get("sections")
        if type(index) is not int or not isinstance(entry, str) or not isinstance(sections, dict):
            raise Unreadable("a record is malformed")
        if index != self._position:
            self._fault(index, "the record is not where its index says")
        if self._first < 0:
            self._first = index
        self._last = index
        self._records += 1
        self._add(0, hashlib.sha256(b"\0" + entry.encode("utf-8", "surrogatepass")).digest())
        try:
            self._check_sections(_commitments(entry), sections)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as wrong:
            self._fault(index, str(wrong))

    def _check_sections(self, commitments: dict[str, str], sections: dict[str, Any]) -> None:
        if sorted(commitments) != sorted(sections):
            raise ValueError("the sections are not those that the entry names")
        for name, section in sections.items():
            if section == "closed":
                self._closed += 1
            elif section == "erased":
                self._erased += 1
            else:
                body = section["body"].encode()
                salt = _unbase64(section["salt"])
                begun = b"audit-section/v1\n" + name.encode() + b"\n"
                digest = hashlib.sha256(begun + salt + body).digest()
                text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
                if text != commitments[name] or len(salt) != 16:
                    raise ValueError(f"the section {name} does not have its commitment")
                self._opened += 1

    def _take_hash(self, line: dict[str, Any]) -> None:
        start, end = line.get("from"), line.get("to")
        if type(start) is not int or type(end) is not int or not isinstance(line["hash"], str):
            raise Unreadable("a hash is malformed")
        if not 0 <= start < end <= SIZE_MAX:
            raise Unreadable("a hash stands for records that no log has")
        count = end - start
        if start != self._position or count & (count - 1) or start % count:
            raise Unreadable(f"the hash for records {start} to {end} has no place there")
        try:
            node = _unbase64(line["hash"])
        except ValueError as malformed:
            raise Unreadable(f"the hash for records {start} to {end} is malformed") from malformed
        if len(node) != _HASH_BYTES:
            raise Unreadable(f"the hash for records {start} to {end} has {len(node)} bytes")
        self._add(count.bit_length() - 1, node)

    def _add(self, height: int, node: bytes) -> None:
        self._position += 1 << height
        while self._tree and self._tree[-1][0] == height:
            node = hashlib.sha256(b"\x01" + self._tree.pop()[1] + node).digest()
            height += 1
        self._tree.append((height, node))

    def _root(self) -> bytes:
        if not self._tree:
            return hashlib.sha256(b"").digest()
        root = self._tree[-1][1]
        for _, left in reversed(self._tree[:-1]):
            root = hashlib.sha256(b"\x01" + left + root).digest()
        return root

    def end(self, opens: Opens) -> Summary:
        if self._head is None or self._checkpoint is None:
            raise Unreadable("the end of the export is missing")
        origin, size = self._head["origin"], self._position
        if self._head["size"] != size:
            self._fault(-1, "the file is not of the size that its first line says")
        try:
            signed = opens(self._checkpoint)
        except KeyMissing:
            raise
        except ValueError as wrong:
            self._fault(-1, f"the checkpoint cannot be trusted: {wrong}")
        else:
            if signed[:2] != (origin, size):
                self._fault(-1, "the checkpoint is of another log or size")
            elif signed[2] != self._root():
                self._fault(-1, "records and hashes do not lead to the root that was signed")
        whole = self._records and self._last - self._first + 1 == self._records
        return Summary(
            origin, size, self._records, self._opened, self._closed, self._erased,
            (self._first, self._last) if whole else None, tuple(self._faults),
        )  # fmt: skip

    def _fault(self, index: int, what: str) -> None:
        if len(self._faults) < FAULTS_TOLD_MAX:
            # Whoever forged the file may have meant it for the terminal that this is shown on.
            self._faults.append((index, what if what.isprintable() else ascii(what)))


def whole_lines(readline: Callable[[int], bytes]) -> Iterable[bytes]:
    """Yield the lines of a file, by its `readline`; of one that is too long its beginning alone.

    A few compressed kilobytes may unfold to a line that no memory holds.
    """
    return iter(lambda: readline(LINE_BYTES_MAX + 1), b"")


def open_checkpoint(note: str, vkey: str, accepts: Accepts) -> tuple[str, int, bytes]:
    """Return origin, size and root of a checkpoint that the key signed; raise ValueError if not."""
    name, public_key, key_id = _parse_vkey(vkey)
    text, blank, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or not signatures.endswith("\n") or len(lines) != 3:
        raise ValueError("it is not a checkpoint")
    signed = [
        line
        for line in signatures[:-1].split("\n")
        if re.fullmatch(f"\u2014 {re.escape(name)} [A-Za-z0-9+/=]+", line)
        and _unbase64(line.rpartition(" ")[2])[:4] == key_id
    ]
    message = (text + "\n").encode()
    if not signed:
        raise ValueError("the log's key did not sign it")
    if not all(
        accepts(public_key, _unbase64(line.rpartition(" ")[2])[4:], message) for line in signed
    ):
        raise ValueError("its signature is wrong")
    if re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]) is None or lines[0] != name:
        raise ValueError("its size or name is malformed")
    return lines[0], int(lines[1]), _unbase64(lines[2])


def _parse_vkey(vkey: str) -> tuple[str, bytes, bytes]:
    name, _, rest = vkey.partition("+")
    id_text, _, key_text = rest.partition("+")
    key = _unbase64(key_text)
    key_id = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    known = len(key) == 1 + _HASH_BYTES and key[0] == _ED25519 and name.isprintable()
    if not known or key_id.hex() != id_text:
        raise ValueError("the key is not that of a log (vkey)")
    return name, key[1:], key_id


def _commitments(entry: str) -> dict[str, str]:
    """Return the commitments of an entry, which must be the canonical text of its members."""
    members = json.loads(entry)
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if canonical != entry or not _ENTRY_MEMBERS.issuperset(members) or members["v"] != 1:
        raise ValueError("the entry is not in its canonical form")
    commitments: dict[str, str] = members["c"]
    return commitments


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_BYTES_MAX:
        raise Unreadable("a line is too long")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as malformed:
        raise Unreadable("a line is not JSON") from malformed
    if not isinstance(value, dict):
        raise Unreadable("a line is not a JSON object")
    return value


def _unbase64(text: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as malformed:
        raise ValueError("not base64") from malformed
    if base64.b64encode(value).decode() != text:
        raise ValueError("not the canonical base64")
    return value
