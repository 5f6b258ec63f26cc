"""What a record keeps of a request: all that a decision looks at, and of a body no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gateway.audit.entry import SECTION_BYTES_MAX
from gateway.exchange.facts import Exchange
from gateway.exchange.inputs import ROWS_ASKED, request_kept, rows_asked, rows_kept, target_kept
from tests.world import ROW, ask, open_world


def asking(
    tmp_path: Path,
    look: Callable[[Exchange], None],
    *,
    rows: Sequence[Mapping[str, object]] = (ROW,),
    query: str = "",
) -> None:
    """Ask the fuel poverty service, and look at the exchange."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            look((await ask(world, rows=rows, query=query)).exchange)

    asyncio.run(play())


def test_the_target_is_kept_only_where_the_operation_does_not_tell_it(tmp_path: Path) -> None:
    """An operation without parameters is its own target; a query is kept as it was sent."""
    asking(tmp_path, lambda it: _assert(target_kept(it) is None))
    target = "/eligibility/v1/fuel-poverty/match?_fields=uprn"
    asking(tmp_path, lambda it: _assert(target_kept(it) == target), query="?_fields=uprn")


def test_of_a_body_only_what_rules_name_keeps_its_value(tmp_path: Path) -> None:
    """Names are kept, with the values that decisions turn on; other texts are not."""

    def look(exchange: Exchange) -> None:
        kept = request_kept(exchange, None)[ROWS_ASKED]
        assert isinstance(kept, str)
        (row,) = rows_asked(kept, 1)
        assert set(row) == {*ROW, "ünicode", "nested", "lad_code"}
        assert row["family_name"] is True
        assert ROW["family_name"] not in kept
        assert row["ünicode"] is False
        assert row["nested"] == [1]
        assert exchange.query.rows is not None
        assert row["lad_code"] == "E06999002"

    row = {**ROW, "ünicode": " ", "nested": {"a": 1.5}, "lad_code": "E06999002"}
    asking(tmp_path, look, rows=[row])


def test_a_long_body_is_kept_in_part_and_fits_its_section(tmp_path: Path) -> None:
    """However its rows are spread, what is kept of it can be recorded."""

    def look(exchange: Exchange) -> None:
        kept = request_kept(exchange, None)
        rows = kept[ROWS_ASKED]
        assert isinstance(rows, str)
        assert 0 < rows_kept(rows) < 1001
        assert len(json.dumps(kept)) < SECTION_BYTES_MAX
        asked = rows_asked(rows, 1001)
        assert len(asked) == 1001
        assert asked[-1] == asked[rows_kept(rows) - 1]

    asking(tmp_path, look, rows=[ROW] * 1001)

    def nothing(exchange: Exchange) -> None:
        assert request_kept(exchange, None)[ROWS_ASKED] == "[]"

    wide = {f"field_{n}": 0 for n in range(4_000)}
    asking(tmp_path, nothing, rows=[wide, *[{"uprn": "1"}] * 4_000])


def _assert(held: bool) -> None:
    assert held
