"""What duties ask of a call and of its answer: settled once, and never another's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.exchange.handling import CONDITIONS, HANDLINGS, SHAPES, read_head
from gateway.exchange.messages import Headers
from policies.decision import Duties, Restricted
from policies.service import ServiceFacts

FREE = Duties()
READING = Duties(allowed=frozenset({"town"}))
COUNTING = replace(READING, counts_subjects=True)
JSON = (b"content-type", b"application/json")
TAG = (b"etag", b'"1"')


def test_each_duties_are_handled_as_they_ask() -> None:
    """Also where they came before, or after others that are equal but for one member."""
    for _ in range(2):
        free, reading, counting = map(HANDLINGS.of, (FREE, READING, COUNTING))
        assert (free.reads, reading.reads, counting.reads) == (False, True, True)
        assert (free.may_stream, reading.may_stream, counting.may_stream) == (True, True, False)
        withheld = {b"accept-encoding", b"range", b"if-range"}
        assert free.forwarded - reading.forwarded == withheld | CONDITIONS
        assert free.forwarded - reading.forwarded_changing == withheld
        assert b"etag" in free.released - reading.released
    assert HANDLINGS.of(replace(READING, allowed=None)).reads is False


def test_each_service_has_its_own_shape() -> None:
    """A shape is that of the facts in force, not of another service or an older Snapshot."""
    facts = ServiceFacts(connector="a", owner="o", records_at="/data/rows", count_at=("/n",))
    changed = replace(facts, records_at="/items")
    for _ in range(2):
        assert SHAPES.of(facts).records_at == "/data/rows"
        assert SHAPES.of(facts).count_at == ("/n",)
        assert SHAPES.of(changed).records_at == "/items"


@pytest.mark.parametrize(
    ("duties", "told"),
    [
        (FREE, True),
        (READING, True),
        (COUNTING, True),
        (replace(READING, scope={"town": frozenset({"Leeds"})}), False),
        (replace(FREE, scope={"town": frozenset({"Leeds"})}), False),
        (replace(READING, restricted=Restricted(when={}, redact=frozenset({"town"}))), False),
    ],
)
def test_no_date_tells_that_an_unseen_record_changed(duties: Duties, told: bool) -> None:
    """`{"records": []}` with another date than before says that there is one, out of scope."""
    date = (b"last-modified", b"Mon, 23 Nov 2026 10:00:00 GMT")
    assert (date in read_head((JSON, date), HANDLINGS.of(duties)).headers) is told


@pytest.mark.parametrize(
    ("fields", "media_type", "coded"),
    [
        ((), "", False),
        ((JSON,), "application/json", False),
        ((JSON, JSON), "", False),
        ((JSON, (b"content-encoding", b"gzip")), "application/json", True),
        ((JSON, (b"content-encoding", b"identity")), "application/json", False),
        (((b"content-encoding", b"gzip"), (b"content-encoding", b"identity")), "", True),
    ],
)
@pytest.mark.parametrize("duties", [FREE, READING])
def test_a_head_is_read_under_any_duties(
    duties: Duties, fields: Headers, media_type: str, coded: bool
) -> None:
    """Which of two media types a consumer would believe is not known, so it is none."""
    head = read_head(fields, HANDLINGS.of(duties))
    assert (head.media_type, head.coded) == (media_type, coded)


def test_only_fields_that_are_true_of_what_leaves_do_leave() -> None:
    """In their order; an encoding and an entity tag are those of the untouched body."""
    coding = (b"content-encoding", b"identity")
    fields = (TAG, JSON, (b"server", b"internal-7"), coding, coding)
    assert read_head(fields, HANDLINGS.of(FREE)).headers == (TAG, JSON, coding, coding)
    assert read_head(fields, HANDLINGS.of(READING)).headers == (JSON,)
