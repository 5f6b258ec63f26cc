"""Versions of one agreement: which supersedes which, and that what was signed stays as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

from policies.authoring.codes import Code
from policies.authoring.draft import SIGNED_STATUSES, AuthoringFault, Draft, fault
from policies.document import canonical_bytes

GOES_ON: Final = frozenset({"status", "governance"})
"""The members that change after a version is signed: its state, and the steps taken on it."""

_SUPERSEDES: Final = re.compile(r"(.+)@([1-9][0-9]{0,8})")
_ENDED: Final = frozenset({"expired", "terminated", "superseded", "archived"})


def check_supersedes(draft: Draft) -> Iterator[AuthoringFault]:
    """Yield what is wrong with the version that an agreement says it replaces."""
    agreement, pointer = draft.agreement, ("supersedes",)
    said = agreement.supersedes
    if said is None:
        if agreement.version > 1:
            message = f"version {agreement.version} does not say which version it replaces"
            yield fault(Code.SUPERSESSION_UNCLEAR, pointer, message)
        return
    found = _SUPERSEDES.fullmatch(said)
    if found is None:
        message = f"{said!r} is not of the form {agreement.agreement_id}@1"
        yield fault(Code.SUPERSESSION_UNCLEAR, pointer, message)
    elif found[1] == agreement.agreement_id and int(found[2]) >= agreement.version:
        message = f"version {agreement.version} cannot replace version {found[2]} of itself"
        yield fault(Code.SUPERSESSION_UNCLEAR, pointer, message)


def check_succession(
    present: Mapping[str, object], proposed: Mapping[str, object]
) -> tuple[AuthoringFault, ...]:
    """Return why `proposed` may not take the place of `present`: two documents of one agreement.

    Both have been read well. A version that was signed is changed by a new version alone; one that
    nobody has signed may change as its authors like, but not back to an earlier version.
    """
    before, after = _version(present), _version(proposed)
    if after < before:
        message = f"version {before} is here already, and {after} is an earlier one"
        return (fault(Code.VERSION_NOT_INCREASED, ("version",), message),)
    signed = present["status"] in SIGNED_STATUSES | _ENDED
    if after > before or not signed:
        return ()
    changed = tuple(sorted(_changed_members(present, proposed) - GOES_ON))
    if not changed:
        return ()
    message = f"version {before} was signed, and {', '.join(changed)} would change"
    return (fault(Code.SIGNED_VERSION_CHANGED, (changed[0],), message),)


def _version(document: Mapping[str, object]) -> int:
    return cast("int", document["version"])


def _changed_members(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    return {
        member
        for member in one.keys() | other.keys()
        if canonical_bytes(one.get(member)) != canonical_bytes(other.get(member))
    }
