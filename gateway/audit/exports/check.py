"""Check an export that lies in a file or a directory, offline."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.audit.exports.export import MANIFEST_NAME, PARQUET_NAME, PROOF_NAME
from gateway.audit.exports.exported import (
    SHARDS_MAX,
    Summary,
    Unreadable,
    check_lines,
    check_opened,
    of_different_shards,
    whole_lines,
)
from gateway.audit.note import ED25519_NOTE, Policy, Verifier
from gateway.audit.place import SHARD_NAME

# What a member of another type raises, in JSON and in Parquet, whose own errors are among these.
_MALFORMED: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
)


def check_export(path: Path, trusted: Sequence[str] | Policy) -> list[Summary]:
    """Check an NDJSON export, or a directory with one in Parquet, against whom one trusts.

    That are the keys of its shards, or a policy of logs and witnesses (C2SP tlog-policy). Answers
    what was found of each shard. Raises Unreadable where it is no export, OSError where it cannot
    be read.
    """
    if not path.is_dir():
        with path.open("rb") as file:
            return _check(whole_lines(file.readline), trusted)
    try:
        shards = _manifest(path).get("shards")
        if shards is None:
            return _check_directory(path, trusted)
        named = [_below(path, shard) for shard in shards[:SHARDS_MAX]]
        if not named or len(named) < len(shards):
            raise Unreadable(f"the manifest names no shard, or more than {SHARDS_MAX}")
        found = [one for directory in named for one in _check_directory(directory, trusted)]
        return of_different_shards(found)
    except _MALFORMED as unreadable:
        raise Unreadable(f"the Parquet export cannot be read: {unreadable}") from unreadable


def _below(directory: Path, shard: object) -> Path:
    if not isinstance(shard, str) or SHARD_NAME.fullmatch(shard) is None:
        raise Unreadable("the manifest names a directory that no export has")
    return directory / shard


def _check_directory(path: Path, trusted: Sequence[str] | Policy) -> list[Summary]:
    broken = tuple((-1, what) for what in _manifest_faults(path))
    found = _check(_merged(path), trusted)
    return [one._replace(faults=(*one.faults, *broken)) for one in found]


def _check(lines: Iterable[bytes], trusted: Sequence[str] | Policy) -> list[Summary]:
    if not isinstance(trusted, Policy):
        return check_lines(lines, trusted, accepts)

    def opens(note: str) -> tuple[str, int, bytes]:
        head = trusted.open(note)
        return head.origin, head.size, head.root

    return check_opened(lines, opens)


def accepts(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a key made a signature, by the auditor's own library."""
    verifier = Verifier(name="log", algorithm=ED25519_NOTE, public_bytes=public_key)
    return verifier.accepts(signature, message.decode())


def _manifest(directory: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = orjson.loads((directory / MANIFEST_NAME).read_bytes())
    return manifest


def _manifest_faults(directory: Path) -> Iterator[str]:
    for listed in _manifest(directory)["files"]:
        name = listed["name"]
        if name not in (PARQUET_NAME, PROOF_NAME):
            raise Unreadable("the manifest names a file that no export has")
        with (directory / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != listed["sha256"]:
                yield f"{name} is not the file that the manifest names"


def _merged(directory: Path) -> Iterator[bytes]:
    """Yield the lines that the export would have as NDJSON: each hash where it belongs."""
    rows = _rows(directory / PARQUET_NAME)
    row = next(rows, None)
    with (directory / PROOF_NAME).open("rb") as proof:
        for line in whole_lines(proof.readline):
            stands_for = orjson.loads(line)
            # Before the hash for records from some index on come the records below that index.
            first = stands_for.get("from", -1 if "origin" in stands_for else None)
            while row is not None and (first is None or row["index"] < first):
                yield orjson.dumps(row)
                row = next(rows, None)
            yield line


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["index", "entry", "sections"]):
            for row in batch.to_pylist():
                sections = orjson.loads(row["sections"])
                yield {**row, "entry": row["entry"].decode(), "sections": sections}
