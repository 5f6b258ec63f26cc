"""The names of a service's JSON records, as far as somebody has to know them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from gateway.exchange.duties.record_layouts import (
    LAYOUTS_REMEMBERED_MAX,
    STRUCT_CAN_NAME,
    read_members,
    record_type,
)

NameReader = Callable[[Sequence[msgspec.Raw]], frozenset[str]]
"""Returns the names found in records, each of which is a JSON object."""

_ABSENT: Final = msgspec.UNSET


@lru_cache(maxsize=LAYOUTS_REMEMBERED_MAX)
def name_reader(
    known: frozenset[str], never: frozenset[str], columns: tuple[str, ...]
) -> NameReader:
    """Return what finds the names that are not `known`, in `never` or in `columns`.

    It may return known names too. Records of known names only, the usual case, are gone through
    without making a name of any; where one has another name, all the names of all are read.
    """
    watched = sorted(never.union(columns))
    names = sorted(known.union(watched))
    if not all(map(STRUCT_CAN_NAME.fullmatch, names)):
        return _all_names
    attributes = {name: f"f{number}" for number, name in enumerate(names)}
    read = msgspec.json.Decoder(record_type(attributes, exact=True)).decode
    looked_for = [(name, attributes[name]) for name in watched]

    def names_in(records: Sequence[msgspec.Raw]) -> frozenset[str]:
        try:
            rows = [read(record) for record in records]
        except msgspec.ValidationError:
            return _all_names(records)
        found = []
        for name, attribute in looked_for:
            for row in rows:
                if getattr(row, attribute) is not _ABSENT:
                    found.append(name)
                    break
        return frozenset(found)

    return names_in


def _all_names(records: Sequence[msgspec.Raw]) -> frozenset[str]:
    return frozenset().union(*map(read_members, records))
