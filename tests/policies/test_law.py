"""A legal instrument is one versioned object; its ends are exclusive."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from policies.law import read_instruments
from policies.reading import DocumentInvalid

ENDED = datetime.fromisoformat("2022-06-30T23:00:00Z")
NOTICE = "COPI-NOTICE-GENERAL"


def test_the_oldest_version_in_force_is_relied_on(pack: Any) -> None:
    """Where versions overlap, the older one still carries the exchange."""
    at = datetime.fromisoformat("2021-02-18T09:15:00Z")
    reliance = pack.law.reliance((NOTICE,), "SHIELDING_SUPPORT", at)
    assert (reliance.text, reliance.in_force) == (f"{NOTICE}@2", True)


@pytest.mark.parametrize(("seconds", "in_force"), [(-1, True), (0, False), (1, False)])
def test_an_instrument_ends_just_before_its_until(pack: Any, seconds: int, in_force: bool) -> None:
    """A notice until 30 June 2022 ends at 23:00Z, and is named as the last that ended."""
    at = ENDED + timedelta(seconds=seconds)
    reliance = pack.law.reliance((NOTICE,), "SHIELDING_SUPPORT", at)
    assert (reliance.text, reliance.in_force) == (f"{NOTICE}@5", in_force)


def test_the_first_listed_instrument_in_force_is_relied_on(pack: Any) -> None:
    """One that has not begun does not stand in the way of the next."""
    ids = ("CA2004-s16LA", "CA1989-s47")
    before, after = (datetime.fromisoformat(f"{year}-01-01T00:00:00Z") for year in (2020, 2027))
    assert pack.law.reliance(ids, "CHILD_SAFEGUARDING_S47", before).text == "CA1989-s47@1"
    assert pack.law.reliance(ids, "CHILD_SAFEGUARDING_S47", after).text == "CA2004-s16LA@1"
    unbegun = pack.law.reliance(ids, "CHILD_SAFEGUARDING_S17", before)
    assert (unbegun.text, unbegun.in_force) == (None, False)


def test_what_covers_no_purpose_is_not_relied_on(pack: Any) -> None:
    """An instrument nobody knows, and one for another purpose, give nothing."""
    assert pack.law.reliance(("OGL3", "NOT-THERE"), "LE_INVESTIGATION", ENDED) is None


def test_instruments_are_read_strictly() -> None:
    """Every fault of every version is told."""
    version = {"version": 1, "from": "2020-01-01T00:00:00Z", "until": "2019-01-01T00:00:00Z"}
    one = {"id": "A", "title": "t", "gateway": "g", "purposes": [], "versions": [version, version]}
    with pytest.raises(DocumentInvalid) as raised:
        read_instruments({"instruments": [one, {**one, "versions": []}]})
    assert {fault.code for fault in raised.value.faults} == {"contradiction", "duplicate"}
