"""Whether somebody was among the people of an answer, proved against the root in its record."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.audit.entry import Kind
from gateway.audit.merkle import inclusion_proof, leaf_hash, root_of, verify_inclusion
from gateway.audit.people import Person, normalise

# What says who was in an answer: an intent or a refusal names who was asked about.
_ANSWERED: Final = (Kind.OUTCOME.value, Kind.LATE_OUTCOME.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a record says of one person and its answer.

    `among` is None where it cannot be told: no outcome is there, its people were erased, or it
    names but the first of very many and this person is not one of them. Where `among` is true and
    the record names them all, `index` and `path` lead from the identifier's leaf to `root`
    (RFC 6962, section 2.1.1), the tree being over the identifiers in order.
    """

    among: bool | None
    named: int
    complete: bool
    root: bytes | None
    index: int | None = None
    path: tuple[bytes, ...] = ()


def among_answered(view: Mapping[str, Any], person: Person) -> tuple[Membership, Mapping[str, Any]]:
    """Look for a person in the answer of an exchange as `search.show` shows it, given the keys.

    Returns also the entry of the record that was looked at, the last one where none is an outcome.
    """
    told = [
        (entry, core, sections)
        for entry, core, sections in zip(
            view["entries"], view["cores"], view["opened"], strict=True
        )
        if entry["kind"] in _ANSWERED
    ]
    if not told:
        return membership(None, person), view["entries"][-1]
    entry, core, sections = told[-1]
    # A problem is what the gateway itself says in the place of data (exchange.facts.Ending).
    if "subject" not in sections and core.get("problem") and not core.get("bytes"):
        return Membership(among=False, named=0, complete=False, root=None), entry
    return membership(sections.get("subject"), person), entry


def membership(subject: Mapping[str, object] | None, person: Person) -> Membership:
    """Look for a person in the opened section `subject` of an outcome; None if it was erased."""
    listed, text = (subject or {}).get("ids"), (subject or {}).get("root")
    ids = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    root = urlsafe_b64decode(f"{text}=") if isinstance(text, str) else None
    leaves = [leaf_hash(one.encode()) for one in ids]
    complete = root is not None and root_of(leaves) == root
    same_type = (subject or {}).get("type") == person.id_type
    at = next(
        (
            number
            for number, one in enumerate(ids if same_type else ())
            if normalise(person.id_type, one) == person.normalised_id
        ),
        None,
    )
    if at is None or root is None or not complete:
        # Of another type of identifier nothing can be said, however many there are.
        among = True if at is not None else False if complete and same_type else None
        return Membership(among=among, named=len(ids), complete=complete, root=root)
    path = inclusion_proof(at, len(leaves), lambda start, end: root_of(leaves[start:end]))
    assert verify_inclusion(leaves[at], at, len(leaves), path) == root  # noqa: S101 - both are ours
    return Membership(
        among=True, named=len(ids), complete=True, root=root, index=at, path=tuple(path)
    )
