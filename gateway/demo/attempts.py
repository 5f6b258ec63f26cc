"""The pack's authoring attempts: an agreement is changed as it must not be, and is refused."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from gateway.demo.judge import AttemptResult, Standing
from gateway.demo.packs import Pack
from gateway.demo.scenario import AuthoringRefusal
from gateway.registry.authoring import Examiner, sentence
from policies.authoring import BASIS_LISTS
from policies.document import read_agreement
from policies.reading import DocumentInvalid

_ADDED: Final = {"add_consumer": "consumer", "add_provider": "provider"}
_SHORT: Final = {
    "register_id": ("legal", "dea", "register_id"),
    **{
        f"{role}_{name}": ("legal", f"{role}_basis", name)
        for role in ("consumer", "provider")
        for name in BASIS_LISTS
    },
}
"""The words of a change that stand for a member; any other is its place, with dots."""


class _ChangeUnknown(Exception):
    """A change is of a kind that nobody here can make."""


def attempt_all(pack: Pack) -> tuple[AttemptResult, ...]:
    """Make each of the pack's attempts and return how it came out."""
    examiner = Examiner.of(pack.configuration)
    return tuple(_attempt(one, pack, examiner) for one in pack.sheet.authoring_refusals)


def breaches(pack: Pack) -> tuple[str, ...]:
    """Return a sentence for each authoring rule that the pack's own agreements break.

    They are played as they stand all the same; ``concordat apply`` would refuse them.
    """
    examiner = Examiner.of(pack.configuration)
    agreements = map(read_agreement, pack.configuration.agreements.values())
    return tuple(
        f"{agreement.agreement_id}: {sentence(found)} [{found.code}]"
        for agreement in agreements
        for found in examiner.examine(agreement, agreement.term.start)
    )


def _attempt(refusal: AuthoringRefusal, pack: Pack, examiner: Examiner) -> AttemptResult:
    document = pack.configuration.agreements.get(refusal.agreement or "")
    if document is None:
        missing = f"the agreement {refusal.agreement}"
        return AttemptResult(refusal=refusal, standing=Standing.NOT_YET, missing=missing)
    try:
        changed = _changed(document, refusal.change)
    except _ChangeUnknown as unknown:
        missing = f"the change {unknown}"
        return AttemptResult(refusal=refusal, standing=Standing.NOT_YET, missing=missing)
    before, after = _codes(document, examiner), _codes(changed, examiner)
    # What was wrong before is not what the change is refused for, unless it brings nothing else.
    codes = tuple(one for one in after if one not in before) or after
    refused = refusal.error in codes if refusal.error else bool(codes)
    standing = Standing.PASSED if refused else Standing.FAILED
    return AttemptResult(refusal=refusal, standing=standing, codes=codes)


def _codes(document: Mapping[str, object], examiner: Examiner) -> tuple[str, ...]:
    """Return the codes of all that is wrong with an agreement, each once."""
    try:
        agreement = read_agreement(document)
    except DocumentInvalid as invalid:
        return tuple(dict.fromkeys(fault.code for fault in invalid.faults))
    found = examiner.examine(agreement, agreement.term.start)
    return tuple(dict.fromkeys(one.code.value for one in found))


def _changed(document: Mapping[str, object], change: Mapping[str, object]) -> dict[str, Any]:
    changed: dict[str, Any] = copy.deepcopy(dict(document))
    for word, value in change.items():
        try:
            _change(changed, word, value)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            # There is no such place in the document, or none any more.
            raise _ChangeUnknown(word) from None
    return changed


def _change(document: dict[str, Any], word: str, value: object) -> None:
    if word in _ADDED:
        _add_party(document, _ADDED[word], value)
    elif word in _SHORT:
        is_list = word.rpartition("_")[2] != "id" and not isinstance(value, list)
        _put(document, _SHORT[word], [value] if is_list else value)
    elif "." in word or word in document:
        _put(document, tuple(word.split(".")), value)
    else:
        raise _ChangeUnknown(word)


def _add_party(document: dict[str, Any], role: str, reference: object) -> None:
    """Add a body that is like the first of the role in all but its name and its clients."""
    like = next((one for one in document["parties"] if role in one["roles"]), {"dp_role": "none"})
    added = {**like, "ref": reference, "roles": [role]}
    added.pop("clients", None)
    document["parties"] = [*document["parties"], added]


def _put(document: dict[str, Any], steps: tuple[str, ...], value: object) -> None:
    target: Any = document
    for step in steps[:-1]:
        target = target.setdefault(step, {}) if isinstance(target, dict) else target[int(step)]
    last = steps[-1]
    target[last if isinstance(target, dict) else int(last)] = value
