"""What passes between the gateway and a process that applies duties."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.applied import Applied, Withheld
from gateway.exchange.duties.duty_process import ResultBroken, decode_result, encode_result
from policies.decision import ReasonCode

NAMES = st.frozensets(st.text(max_size=5), max_size=3)
APPLIED = st.builds(
    Applied,
    body=st.binary(max_size=50),
    records=st.integers(0, 2**40),
    subjects=NAMES,
    fields_sent=NAMES.map(lambda names: tuple(sorted(names))),
)


@given(APPLIED | st.builds(Withheld, reason=st.sampled_from(ReasonCode), detail=st.text()))
def test_a_result_arrives_as_it_was_sent(result: Applied | Withheld) -> None:
    """Bodies as bytes, facts as JSON: no code is ever read from a process."""
    assert decode_result(encode_result(result)) == result


@given(st.binary(max_size=80) | APPLIED.map(lambda result: encode_result(result)[:-60]))
def test_anything_else_is_no_result(content: bytes) -> None:
    """A process that was lost, or taken over, can say nothing but a result."""
    with suppress(ResultBroken):
        assert isinstance(decode_result(content), Applied | Withheld)


@pytest.mark.parametrize("content", [b"", b"A", b"W", b"W{}", b"A\x00\x00\x00\x02{}", b"X{}"])
def test_half_a_result_is_none(content: bytes) -> None:
    """What is missing is not made up."""
    with pytest.raises(ResultBroken):
        decode_result(content)
