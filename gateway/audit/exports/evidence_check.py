"""The verifier inside an evidence pack: `python3 pack.pyz`, with Python 3.9 or newer alone.

Its exit code is 0 where everything holds, 1 where something differs, 2 where it cannot be told.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.audit.exports.ed25519 import verify
from gateway.audit.exports.exported import Summary, Unreadable, check_lines, whole_lines

RECORDS_NAME = "evidence.ndjson"
KEY_NAME = "log-public-key.txt"
AGREEMENTS_PREFIX = "agreements/"
KEYS_BYTES_MAX = 100_000
TEXT_BYTES_MAX = 16_000_000
TEXTS_MAX = 1_000
NAME_CHARS_TOLD_MAX = 200


def main() -> int:
    """Check the pack that this program was started from, and say what was checked."""
    arguments = argparse.ArgumentParser(description="Check this evidence pack.")
    arguments.add_argument(
        "--vkey",
        action="append",
        help="the log's public key, as its publisher gave it to you; repeat it for each shard",
    )
    pack, vkeys = Path(sys.argv[0]), arguments.parse_args().vkey
    try:
        found, claimed = check_pack(pack, vkeys)
    except Exception as failure:  # noqa: BLE001 - damaged, encrypted, packed otherwise: no verdict
        sys.stderr.write(f"{pack}: this cannot be told: {failure}\n")
        return 2
    sys.stdout.write("\n".join([*_told(found), *_key_told(claimed, vkeys)]) + "\n")
    return 0 if all(one.ok for one in found) else 1


def check_pack(pack: Path, vkeys: Sequence[str] | None = None) -> tuple[list[Summary], list[str]]:
    """Check a pack against keys, or those that it holds; return what was found, and the latter.

    Raises OSError, KeyError, BadZipFile or Unreadable where the file is no pack, and whatever
    `zipfile` raises where what is in it cannot be unpacked.
    """
    with zipfile.ZipFile(pack) as files:
        with files.open(KEY_NAME) as keys:
            claimed = keys.read(KEYS_BYTES_MAX).decode().split()
        with files.open(RECORDS_NAME) as records:
            found = check_lines(whole_lines(records.readline), vkeys or claimed, verify)
        wrong = [(-1, what) for what in _wrong_texts(files)]
        found[0] = found[0]._replace(faults=(*found[0].faults, *wrong))
    return found, claimed


def _wrong_texts(files: zipfile.ZipFile) -> Iterator[str]:
    """Tell of each agreement's text that no record in the pack was decided under."""
    texts = [item for item in files.infolist() if item.filename.startswith(AGREEMENTS_PREFIX)]
    if len(texts) > TEXTS_MAX:
        raise Unreadable(f"the pack holds more than {TEXTS_MAX} texts of agreements")
    relied_on = _texts_relied_on(files) if texts else set()
    for item in texts:
        with files.open(item) as file:
            digest = hashlib.sha256(file.read(TEXT_BYTES_MAX)).hexdigest()
        if item.filename not in relied_on or not item.filename.endswith(f"/{digest}.json"):
            # Whatever a forger calls a file, it says nothing to the terminal.
            yield f"{item.filename[:NAME_CHARS_TOLD_MAX]!a} is not a text that a record relies on"


def _texts_relied_on(files: zipfile.ZipFile) -> set[str]:
    """Return the files that the texts have whose digests are in the records."""
    names = set()
    with files.open(RECORDS_NAME) as records:
        for line in whole_lines(records.readline):
            try:
                core = json.loads(json.loads(line)["sections"]["core"]["body"])
                digest = core["agreement_digest"].rpartition(":")[2]
                names.add(f"{AGREEMENTS_PREFIX}{core['agreement']}/{digest}.json")
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
                continue  # no record of a decision
    return names


def _told(found: list[Summary]) -> list[str]:
    lines, faults = [], 0
    for one in found:
        lines += [what if at < 0 else f"record {at}: {what}" for at, what in one.faults]
        lines += [
            f"Log {one.origin}, signed when it held {one.size} records.",
            f"Records in this pack, each at its place in the log: {one.records}.",
            f"{one.opened} sections match what was committed to when they were written;"
            f" {one.closed} are closed and {one.erased} were erased.",
        ]
        faults += len(one.faults)
    if not faults:
        return [*lines, "VERIFIED: the signed log holds these records, byte for byte."]
    return [*lines, f"NOT VERIFIED: {faults} faults."]


def _key_told(claimed: list[str], vkeys: Sequence[str] | None) -> list[str]:
    if vkeys:
        return ["Checked with the key you gave."]
    return [
        "Checked with the key in this pack. Compare it with the one that the publisher gives:",
        *[f"  {vkey}" for vkey in claimed],
    ]
