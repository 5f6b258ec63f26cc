"""The verifier inside an evidence pack: `python3 pack.pyz`, with Python 3.9 or newer alone.

Its exit code is 0 where everything holds, 1 where something differs, 2 where it cannot be told.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path

from gateway.audit.ed25519 import verify
from gateway.audit.exported import Summary, Unreadable, check_lines, whole_lines

RECORDS_NAME = "evidence.ndjson"
KEY_NAME = "log-public-key.txt"
KEY_BYTES_MAX = 1_000


def main() -> int:
    """Check the pack that this program was started from, and say what was checked."""
    arguments = argparse.ArgumentParser(description="Check this evidence pack.")
    arguments.add_argument("--vkey", help="the log's public key, as its publisher gave it to you")
    pack, vkey = Path(sys.argv[0]), arguments.parse_args().vkey
    try:
        found, claimed = check_pack(pack, vkey)
    except (OSError, KeyError, Unreadable, UnicodeDecodeError, zipfile.BadZipFile) as failure:
        sys.stderr.write(f"{pack}: this cannot be told: {failure}\n")
        return 2
    sys.stdout.write("\n".join([*_told(found), *_key_told(claimed, vkey)]) + "\n")
    return 0 if found.ok else 1


def check_pack(pack: Path, vkey: str | None = None) -> tuple[Summary, str]:
    """Check a pack against a key, or the one that it holds; return what was found, and that key.

    Raises OSError, KeyError, BadZipFile or Unreadable where the file is no pack.
    """
    with zipfile.ZipFile(pack) as files:
        with files.open(KEY_NAME) as key:
            claimed = key.read(KEY_BYTES_MAX).decode().strip()
        with files.open(RECORDS_NAME) as records:
            return check_lines(whole_lines(records.readline), vkey or claimed, verify), claimed


def _told(found: Summary) -> list[str]:
    lines = [what if at < 0 else f"record {at}: {what}" for at, what in found.faults]
    lines += [
        f"Log {found.origin}, signed when it held {found.size} records.",
        f"{found.records} records are in this pack, each at its place in the log.",
        f"{found.opened} sections match what was committed to when they were written;"
        f" {found.closed} are closed and {found.erased} were erased.",
    ]
    if found.ok:
        return [*lines, "VERIFIED: the signed log holds these records, byte for byte."]
    return [*lines, f"NOT VERIFIED: {len(found.faults)} faults."]


def _key_told(claimed: str, vkey: str | None) -> list[str]:
    if vkey is not None:
        return ["Checked with the key you gave."]
    return [
        "Checked with the key in this pack. Compare it with the one that the publisher gives:",
        f"  {claimed}",
    ]
