"""Names returned: what a service sent that it should not have, looked for in every record."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.returned_names import name_reader

NAMES = st.sampled_from(["a", "b", "c", "never", "mark", "strange", '"', ""])
RECORDS = st.lists(st.dictionaries(NAMES, st.integers() | st.lists(st.integers()), max_size=6))
WATCHED = {"never", "mark"}
KNOWN = frozenset({"a", "b", "c"}) | WATCHED


def read(known: frozenset[str], records: list[dict[str, object]]) -> frozenset[str]:
    """Read the names that count in `records`."""
    reader = name_reader(known, frozenset({"never"}), ("mark",))
    return reader([msgspec.Raw(json.dumps(record).encode()) for record in records])


@given(RECORDS)
def test_every_strange_or_watched_name_is_found(records: list[dict[str, object]]) -> None:
    """Whichever record has it: a name that nobody declared, or one that is looked out for."""
    returned = {name for record in records for name in record}

    found = read(KNOWN, records)

    assert found <= returned
    assert found & WATCHED == returned & WATCHED
    assert found - KNOWN == returned - KNOWN


def test_names_that_no_struct_can_carry_are_read_too() -> None:
    """A declared name with a quotation mark takes the slow way, with the same result."""
    assert read(KNOWN | {'"'}, [{"a": 1}, {'"': 1, "x": 1}]) == {"a", '"', "x"}


def test_without_records_there_is_no_name() -> None:
    """Nobody was found, so nothing was returned."""
    assert read(KNOWN, []) == frozenset()
