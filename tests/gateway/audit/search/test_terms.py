"""What a record can be found by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.entry import Kind
from gateway.audit.search.terms import (
    OWN,
    Figures,
    Named,
    What,
    figures_of,
    named_in,
    naming,
    number_of,
    own_words_of,
    shared_words_of,
    term_of,
)

ENDED = 1_700_000_000_000_000


def words_of(kind: Kind, core: dict[str, object]) -> set[tuple[str, str]]:
    """Return all words that a record is found by."""
    return {*shared_words_of(kind, core), *own_words_of(core, core)}


def test_the_words_of_a_decision() -> None:
    """Parties are organisations too, an instrument is found with and without its version."""
    core: dict[str, object] = {
        "consumer": "gss:E1", "provider": "ods:X9Z", "agreement": "DSA-1", "agreement_version": 2,
        "instrument": "COPI-2020@3", "instrument_until": ENDED, "decided_at": ENDED,
        "method": "GET", "route": "/a/{b}", "reason": "OK", "break_glass": True, "alert": False,
        "exemptions": ["sch2-2", 7], "opt_out": False,
    }  # fmt: skip
    words = words_of(Kind.INTENT, core)
    assert words >= {
        ("kind", "exchange.intent"), ("kind", "exchange"), ("consumer", "gss:E1"),
        ("organisation", "gss:E1"), ("organisation", "ods:X9Z"), ("version", "2"),
        ("instrument", "COPI-2020@3"), ("instrument", "COPI-2020"), ("instrument_ended", "true"),
        ("operation", "GET /a/{b}"), ("break_glass", "true"), ("exemption", "sch2-2"),
        ("opt_out", "false"),
    }  # fmt: skip
    # How it ends is not told by its beginning, and no alert is no word.
    assert not {name for name, _ in words} & {"reason", "alert", "leak", "status"}


def test_an_instrument_in_force_has_not_ended() -> None:
    """The end of a version is exclusive: an instant before it, the law was still there."""
    core = {"instrument": "COPI-2020@3", "instrument_until": ENDED, "decided_at": ENDED - 1}
    assert "instrument_ended" not in dict(words_of(Kind.INTENT, core))


def test_the_words_of_an_end_and_of_a_change() -> None:
    """An outcome says status, reason and leaks; a change names its documents."""
    core: dict[str, object] = {"status": 200, "reason": "OK", "fields_never": ["nino"]}
    assert dict(words_of(Kind.OUTCOME, core)) == {
        "kind": "exchange.outcome", "ended": "exchange.outcome", "status": "200", "reason": "OK",
        "leak": "true",
    }  # fmt: skip
    unproved: dict[str, object] = {"end_unproved": True}
    assert ("end_unproved", "true") in words_of(Kind.OUTCOME, unproved)
    change: dict[str, object] = {"verb": "apply", "changed": ["agreement DSA-1", "party ods:X"]}
    assert words_of(Kind.CHANGE, change) >= {
        ("document", "agreement DSA-1"), ("agreement", "DSA-1"), ("document", "party ods:X"),
    }  # fmt: skip


def test_people_and_names_come_from_sealed_sections() -> None:
    """Each is normalised as a search normalises it; an erased section names nobody."""
    sections: dict[str, object] = {
        "actor": {"client": "App", "subject": "u1", "token_id_digest": "sha-256=:x:"},
        "net": {"source": "192.0.2.1"},
        "payload": {"context": {"case_reference": "abc 1", "justification": "words"}},
        "subject": {"type": "nhs_number", "ids": ["999 000 0018"]},
    }
    assert set(named_in(sections)) == {
        Named(What.CLIENT, "_client", "App"),
        Named(What.ACTOR, "_actor", "u1"),
        Named(What.TOKEN, "_token", "sha-256=:x:"),
        Named(What.SOURCE, "_source", "192.0.2.1"),
        Named(What.CASE, "_case", "ABC1"),
        Named(What.PERSON, "nhs_number", "9990000018"),
    }
    assert list(named_in(dict.fromkeys(sections))) == []


def test_figures_are_what_was_disclosed() -> None:
    """What an outcome does not say counts as nothing."""
    core: dict[str, object] = {"records": 3, "subjects": 2, "bytes": 40}
    assert figures_of(core) == Figures(records=3, people=2, dropped=0, octets=40)
    for never in (-1, 2**53):
        with pytest.raises(ValueError, match="so large"):
            figures_of({"bytes": never})


def test_words_of_two_names_differ() -> None:
    """A word's number is signed, as databases keep 64 bits, and its name is part of it."""
    assert term_of("consumer", "x") != term_of("provider", "x")
    assert -(1 << 63) <= term_of("a", "b") == number_of("a", "b") < 1 << 63


@given(
    st.sampled_from(Kind),
    st.dictionaries(
        st.sampled_from([
            *OWN, "instrument_until", "instrument", "status", "reason", "rule", "method", "route",
            "consumer", "opt_out", "alert", "exemptions", "fields_never", "added", "revision",
            "end_unproved",
        ]),
        st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "agreement b@1"])
        | st.lists(st.sampled_from(["a", "agreement b"]), max_size=2),
    ),
)  # fmt: skip
def test_what_records_share_needs_none_of_their_own(kind: Kind, core: dict[str, object]) -> None:
    """Words found for one record hold of each that differs from it in its own members only."""
    shared = {name: value for name, value in core.items() if name not in OWN}

    assert list(shared_words_of(kind, shared)) == list(shared_words_of(kind, core))


@pytest.mark.parametrize("kind", [Kind.OUTCOME, Kind.LATE_OUTCOME, Kind.INDETERMINATE])
def test_an_answers_payload_names_nobody(kind: Kind) -> None:
    """It holds digests: so it need not be opened, and whom an answer was about is found still."""
    assert set(naming(Kind.INTENT)) == {"actor", "net", "payload", "subject"}
    assert set(naming(kind)) == {"actor", "net", "subject"}
