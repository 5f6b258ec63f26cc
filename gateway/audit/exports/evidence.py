"""Evidence packs: exchanges in one file, with what proves them and a verifier that needs Python.

A pack is a zip file that Python runs (`python3 pack.pyz`) and that anybody can open: a text in
plain words, the records with their openings and proofs (`exported.py` tells the format), the
log's public key, the agreements as they were when they were relied on, and the verifier's source.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

from gateway.audit.entry import Kind
from gateway.audit.exports.events import iso_time
from gateway.audit.exports.evidence_check import AGREEMENTS_PREFIX, KEY_NAME, RECORDS_NAME
from gateway.audit.exports.export import (
    Export,
    ExportFormat,
    export_chunks,
    export_parts,
    whole_file,
)
from gateway.audit.exports.parts import Part
from gateway.audit.exports.selection import Picked, Selection, pick
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.place import LogHome
from gateway.audit.reading.reader import snapshot
from gateway.clock import uuid_text

README_NAME: Final = "README.txt"
# Zip files hold times from this year on; a pack of the same records is the same file.
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_VERIFIER: Final = ("exported.py", "ed25519.py", "evidence_check.py")
_MAIN: Final = (
    "import sys\n\nfrom gateway.audit.exports.evidence_check import main\n\nsys.exit(main())\n"
)

Agreements = Callable[[str, str], bytes | None]
"""Answers the text of an agreement that has a digest, as it was hashed, or None where it is gone.

That are its canonical bytes (RFC 8785); the digest is written ``sha256:<hex>``."""


class Packed(NamedTuple):
    """What a pack holds: how many records, and the keys of the shards that they are in."""

    records: int
    vkeys: tuple[str, ...]


_FACTS: Final = (
    ("asked by", "consumer"), ("provided by", "provider"), ("service", "service"),
    ("operation", "method"), ("path", "route"), ("agreement", "agreement"),
    ("version of the agreement", "agreement_version"),
    ("digest of the agreement", "agreement_digest"), ("rule", "rule"), ("purpose", "purpose"),
    ("legal gateway", "legal_gateway"), ("legal instrument", "instrument"),
    ("UK GDPR article 6", "article6"), ("UK GDPR article 9", "article9"),
    ("duty of confidence", "confidentiality"), ("decision", "decision"), ("reason", "reason"),
    ("HTTP status", "status"), ("records released", "records"), ("people", "subjects"),
)  # fmt: skip

_README: Final = """EVIDENCE FROM AN AUDIT LOG

Log:        {origins}
Public key: {vkeys}

What this is
------------
A data-exchange gateway wrote a record before it passed a request on, and a second one before the
answer was released (or one record, where it refused). This pack holds those records as they were
written, and what shows that they are in the log that the gateway's key signed.

How to check it
---------------
With Python 3.9 or newer, and nothing else, on any computer, without a network:

    python3 {name}
    python3 {name} {given}

Use the second form with the public key as you got it from the publisher by another way: what the
pack says of its own key proves nothing. A log goes on in shards, each with its own name and key;
give the keys of all that are named above. The answer is VERIFIED or NOT VERIFIED, with every record
that differs. The program is in this file as source; open the file as a zip archive to read it.

What a verified pack proves
---------------------------
Each record was in the log, at the index given, when the log's head was signed; not one byte of it
was changed since. It does not prove that the gateway recorded the truth, nor that nothing else
happened. A section that is "closed" was left out of this pack, and one that was "erased" can be
read by nobody any more; both are still covered by the signature.

The agreements
--------------
Each record of a decision holds the digest of the agreement's text that it was made under. Where the
text is in this pack, it is in the folder `agreements`, in a file that is named after its SHA-256,
which is that digest; the program checks it. Texts that the publisher has no more are not there.

The exchanges
-------------
{exchanges}
"""


def evidence_of(exchanges: tuple[bytes, ...], *, personal: bool) -> Export:
    """Return the export that a pack of these exchanges holds."""
    selection = Selection(exchanges=exchanges)
    return Export(selection=selection, format=ExportFormat.NDJSON, personal=personal)


def write_pack(
    home: LogHome, export: Export, keys: LogKeys, out: Path, *, agreements: Agreements
) -> Packed:
    """Write a pack of the exchanges that an export selects; return what it holds.

    The file is whole or not there, and its owner's alone. Raises LookupError where an exchange has
    no record that a published checkpoint covers, FileExistsError where `out` is there; see
    `export_chunks`.
    """
    picked = {part: _records(part, export, keys) for part in export_parts(home, export)}
    parts = [part for part, records in picked.items() if records]
    records = [record for part in parts for record in picked[part]]
    found = {item.exchange or item.record_id for item in records}
    for wanted in export.selection.exchanges:
        if wanted not in found:
            raise LookupError(f"{uuid_text(wanted)} is not in the log, or not signed yet")
    vkeys = tuple([part.vkey for part in parts])
    texts = dict(_texts(records, agreements))
    with whole_file(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
        readme = _README.format(
            origins="\n            ".join(part.origin for part in parts),
            vkeys="\n            ".join(vkeys),
            name=out.name,
            given=" ".join(['--vkey "KEY"'] * len(vkeys)),
            exchanges="\n".join(_told(records)),
        )
        _put(pack, README_NAME, readme)
        _put(pack, KEY_NAME, "".join([f"{vkey}\n" for vkey in vkeys]))
        with pack.open(zipfile.ZipInfo(RECORDS_NAME, _TIME), "w") as lines:
            for chunk in export_chunks(parts, export, keys):
                lines.write(chunk)
        for name, text in texts.items():
            _put(pack, name, text.decode())
        _put(pack, "__main__.py", _MAIN)
        for package in ("gateway", "gateway/audit", "gateway/audit/exports"):
            _put(pack, f"{package}/__init__.py", "")
        for name in _VERIFIER:
            source = resources.files("gateway.audit.exports").joinpath(name).read_text("utf-8")
            _put(pack, f"gateway/audit/exports/{name}", source)
    return Packed(len(records), vkeys)


def _records(part: Part, export: Export, keys: LogKeys) -> list[Picked]:
    with snapshot(part.place) as db:
        opened = keys if export.personal else None
        return list(pick(db, export.selection, end=part.end, keys=opened))


def _texts(records: list[Picked], agreements: Agreements) -> Iterator[tuple[str, bytes]]:
    """Yield the file of each text of an agreement that the records were decided under."""
    cores = [item.section("core") for item in records]
    named = {(core.get("agreement"), core.get("agreement_digest")): None for core in cores}
    for agreement, digest in named:
        if isinstance(agreement, str) and isinstance(digest, str):
            text = agreements(agreement, digest)
            if text is not None:
                yield f"{AGREEMENTS_PREFIX}{agreement}/{digest.rpartition(':')[2]}.json", text


def _told(records: list[Picked]) -> Iterator[str]:
    """Tell the records in plain words, exchange by exchange."""
    for picked in records:
        named = uuid_text(picked.exchange or picked.record_id)
        yield f"Record {picked.index}: {_KINDS.get(picked.kind, picked.kind.value)}"
        yield f"    {'exchange':26}{named}"
        yield f"    {'time (UTC)':26}{iso_time(picked.at_us)}"
        core = picked.section("core")
        for label, name in _FACTS:
            value = core.get(name)
            if value not in (None, [], ""):
                text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
                yield f"    {label:26}{text}"
        yield ""


_KINDS: Final[Mapping[Kind, str]] = {
    Kind.INTENT: "the request was permitted, and was about to be passed on",
    Kind.OUTCOME: "the answer was about to be released",
    Kind.DENY: "the request was refused",
    Kind.INDETERMINATE: "how the exchange ended is not known",
    Kind.LATE_OUTCOME: "the exchange ended after it had been closed as not known",
    Kind.PROGRESS: "a long answer went on",
}


def _put(pack: zipfile.ZipFile, name: str, text: str) -> None:
    pack.writestr(zipfile.ZipInfo(name, _TIME), text, zipfile.ZIP_DEFLATED)
