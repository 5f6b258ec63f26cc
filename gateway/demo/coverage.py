"""What the gateway does not do yet, told from what a call uses, never from which call it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.demo.packs import Pack
from gateway.demo.scenario import ScenarioCall

_DECISION_DUTIES: Final = frozenset({"fields_limited_to_decision", "single_use_decision"})
_DECISION_REFERENCE: Final = "decision_ref"


def not_yet(call: ScenarioCall, pack: Pack) -> str | None:
    """Return the feature that `call` needs and this version lacks, or None if it has them all."""
    for feature, uses in _MISSING.items():
        if uses(call, pack):
            return feature
    return None


def _uses_break_glass(call: ScenarioCall, _pack: Pack) -> bool:
    return call.token.break_glass is not None


def _uses_decision_form(call: ScenarioCall, pack: Pack) -> bool:
    rule = pack.rule_of(call)
    limited = rule is not None and bool(_DECISION_DUTIES & rule.obligations)
    return limited and _DECISION_REFERENCE in call.token.context


_MISSING: Final[dict[str, Callable[[ScenarioCall, Pack], bool]]] = {
    "break-glass grants": _uses_break_glass,
    "recorded decision forms": _uses_decision_form,
}
"""Each feature that is still missing, and how a call is seen to need it."""
