"""What the present agreements say of their records: which of them are on legal hold."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.registry.documents import Kind
from gateway.registry.store import Registry


def agreements_on_hold(registry: Registry) -> frozenset[str]:
    """Return the agreements whose newest text has a `retention.legal_hold`, ended ones as well.

    Raises RegistryUnavailable.
    """
    states = registry.newest(Kind.AGREEMENT)
    return frozenset(key for key, state in states.items() if _is_held(state.document))


def kept_for(document: Mapping[str, object]) -> str:
    """Return how long an agreement's document has the log keep its records, as it says it."""
    retention = document.get("retention")
    return str(retention["audit_kept_for"]) if isinstance(retention, Mapping) else ""


def _is_held(document: Mapping[str, object]) -> bool:
    retention = document.get("retention")
    return isinstance(retention, Mapping) and retention.get("legal_hold") is not None
