"""What a record keeps of a request, sealed, so that its decision can be made once more.

The token's facts are in the actor's section, and the configuration is named by its revision. Of a
body only what a decision looks at is kept: which fields there are, and the values that rules name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from gateway.exchange.facts import Exchange
from gateway.exchange.held import microseconds
from gateway.exchange.rows import Rows
from policies.decision import BreakGlassRequest

BODY_BYTES_KEPT_MAX: Final = 16 * 1024
"""The longest body of which every row is kept; of a longer one about as much of its beginning."""
ROWS_BYTES_KEPT_MAX: Final = 20 * 1024
"""Bytes that kept rows take at most; rows that take more, being the longest, are not kept. Within
a section they are quoted, which makes them longer by at most their quotation marks."""

TARGET: Final = "target"
ROWS_ASKED: Final = "rows_asked"
FORM_USED: Final = "form_used"

Section = Mapping[str, object]

_EMPTY: Final[list[object]] = []
_FILLED: Final[list[object]] = [1]
"""A structure in a cell, which no decision looks into."""


def target_kept(exchange: Exchange) -> str | None:
    """Return the target as it was sent, where the operation's own path does not tell it."""
    target = exchange.request.target
    if target.path == exchange.decision.route and not target.parameters:
        return None
    return target.raw.decode("ascii")


def request_kept(exchange: Exchange, request_digest: str | None) -> dict[str, object]:
    """Return what is kept of a request's body, context and urgent grant; empty for a plain one."""
    query, said = exchange.query, exchange.query.break_glass
    if not exchange.body and query.rows is None and not query.context and said is None:
        return {}
    kept: dict[str, object] = {}
    if request_digest:
        kept["request_digest"] = request_digest
    if exchange.body:
        kept["request_bytes"] = len(exchange.body)
    if query.rows is not None:
        kept["rows"] = len(query.rows)
        kept[ROWS_ASKED] = _rows_kept(exchange, query.rows)
    if query.context:
        kept["context"] = dict(query.context)
    if said is not None:
        kept["break_glass"] = _said(said)
    if query.decision_form_used:
        kept[FORM_USED] = True
    return kept


def rows_asked(kept: str, count: int) -> Rows:
    """Return the rows of a kept request, as a decision sees them.

    Of `count` rows those that were not kept are taken to be like the last one that was.
    """
    rows = orjson.loads(kept)
    return (*rows, *[rows[-1] if rows else {}] * (count - len(rows)))


def rows_kept(kept: str) -> int:
    """Return how many rows are kept of a request."""
    return len(orjson.loads(kept))


def _said(said: BreakGlassRequest) -> Section:
    """Return an urgent grant as the decision found it."""
    held: dict[str, object] = {"reason": said.reason, "justification": said.justification}
    if said.started_at is not None:
        held["started_at"] = microseconds(said.started_at)
    if said.subjects_so_far:
        held["subjects_so_far"] = said.subjects_so_far
    if said.suspended:
        held["suspended"] = True
    return held


def _names_looked_at(exchange: Exchange) -> frozenset[str]:
    """Return the members of a body whose values a decision could turn on."""
    query, policy = exchange.query, exchange.policy
    if policy is None:
        return frozenset()
    names: set[str | None] = set(query.decision_form.subject) if query.decision_form else set()
    for rule, _ in policy.matching(query.method, query.path):
        names.update(rule.filter_values, rule.filters_required, rule.identifiers)
        names.add(rule.duties.subject_field)
    return frozenset(name for name in names if name is not None)


def _rows_kept(exchange: Exchange, rows: Rows) -> str:
    """Return rows as JSON within the section's own: it is quick, and names need not be ASCII."""
    looked_at, length = _names_looked_at(exchange), len(exchange.body)
    if length > BODY_BYTES_KEPT_MAX:
        rows = rows[: len(rows) * BODY_BYTES_KEPT_MAX // length]
    kept = orjson.dumps(
        [{name: _cell(cell, kept=name in looked_at) for name, cell in row.items()} for row in rows]
    )
    return kept.decode() if len(kept) <= ROWS_BYTES_KEPT_MAX else "[]"


def _cell(cell: object, *, kept: bool) -> object:
    """Return what a decision could see of a cell: its text if a rule names it, or if it has any."""
    if isinstance(cell, dict | list):
        return _FILLED if cell else _EMPTY
    if isinstance(cell, str):
        return cell if kept else bool(cell.strip())
    return bool(cell)
