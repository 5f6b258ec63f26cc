"""The agreement document: read strictly with every fault at once, and its canonical digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

from policies import permissions, sections, words
from policies.agreement import Agreement
from policies.coherence import incoherences
from policies.reading import DocumentInvalid, Fault, Pointer, Section, place

__all__ = [
    "DocumentInvalid",
    "Fault",
    "Pointer",
    "canonical_bytes",
    "digest",
    "place",
    "read_agreement",
]

TITLE_CHARS_MAX: Final = 160
NESTING_MAX: Final = 64
INTEGER_MAX: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly (RFC 8259 section 6)."""

_AGREEMENT_ID: Final = re.compile(r"DSA-[0-9]{4}-[0-9]{4}")
_REQUIRED: Final = (
    *("schema_version", "agreement_id", "version", "title", "kind", "status", "parties"),
    *("purpose", "legal", "data", "access", "onward_sharing", "security", "retention", "rights"),
    *("term", "transparency", "governance"),
)
_OPTIONAL: Final = ("supersedes", "synthetic", "feedback", "costs")


def read_agreement(document: object) -> Agreement:
    """Read an agreement of schema 0.1 from plain values, dates and times still as texts.

    Raises:
        DocumentInvalid: with every fault of the document. What contradicts itself is looked for
            only when each section reads well, so that no fault is an echo of another.
    """
    faults: list[Fault] = []
    one = Section(document, (), faults, required=_REQUIRED, optional=_OPTIONAL)
    one.word("schema_version", words.SCHEMA_VERSIONS)
    rules, break_glass = permissions.read_access(one)
    governance = one.section("governance", required=("decisions",), optional=("ethics",))
    agreement = Agreement(
        agreement_id=one.text("agreement_id", pattern=_AGREEMENT_ID),
        version=one.integer("version", minimum=1),
        title=one.text("title", chars_max=TITLE_CHARS_MAX),
        kind=one.word("kind", words.KINDS),
        status=one.word("status", words.STATUSES),
        parties=sections.read_parties(one),
        purpose=sections.read_purpose(one),
        legal=sections.read_legal(one),
        datasets=sections.read_datasets(one),
        rules=rules,
        break_glass=break_glass,
        onward_sharing=sections.read_onward_sharing(one),
        security=sections.read_security(one),
        retention=sections.read_retention(one),
        rights=sections.read_rights(one),
        term=sections.read_term(one),
        transparency=sections.read_transparency(one),
        governance=sections.read_governance(governance),
        ethics=governance.free("ethics"),
        feedback=sections.read_feedback(one),
        costs=sections.read_costs(one),
        supersedes=one.nullable_text("supersedes"),
        synthetic=one.flag("synthetic"),
    )
    faults = faults or incoherences(agreement)
    if faults:
        raise DocumentInvalid(faults)
    return agreement


def canonical_bytes(value: object) -> bytes:
    """Return the one JSON text of `value` that is signed and hashed (RFC 8785, JCS).

    The model is restricted to objects, lists, texts, true, false, null and whole numbers: there is
    nothing in an agreement that needs a fraction, and fractions are where JCS readers differ.

    Raises:
        ValueError: the value holds anything else, is nested too deeply, or a text is not Unicode.
    """
    parts: list[str] = []
    _write(value, parts, NESTING_MAX)
    return "".join(parts).encode()


def digest(value: object) -> str:
    """Return ``sha256:<hex>`` of the canonical bytes of `value`; raises as they do."""
    return "sha256:" + hashlib.sha256(canonical_bytes(value)).hexdigest()


def _write(value: object, parts: list[str], depth: int) -> None:
    if depth == 0:
        raise ValueError("nested too deeply")
    if value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, str):
        # RFC 8785 section 3.2.2.2: the shortest escapes; json writes just those.
        parts.append(json.dumps(value, ensure_ascii=False))
    elif isinstance(value, int) and -INTEGER_MAX <= value <= INTEGER_MAX:
        parts.append(str(value))
    elif isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a member's name is not a text")
        for position, key in enumerate(sorted(value, key=_utf16)):
            parts += (",{"[position == 0], json.dumps(key, ensure_ascii=False), ":")
            _write(value[key], parts, depth - 1)
        parts.append("}" if value else "{}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            parts.append(",["[position == 0])
            _write(item, parts, depth - 1)
        parts.append("]" if value else "[]")
    else:
        raise ValueError(f"a {type(value).__name__} has no canonical form here")


def _utf16(key: str) -> bytes:
    """Return the sort key of a member's name: its UTF-16 code units (RFC 8785 section 3.2.3)."""
    return key.encode("utf-16-be")
