"""The offline policy test, on the built-in pack and on one under other names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.demo.evaluate import evaluate, would_permit
from gateway.demo.judge import Standing
from gateway.demo.packs import Pack
from gateway.demo.scenario import CallSheet


@pytest.mark.parametrize("name", ["pack", "renamed_pack"])
def test_every_call_is_decided_as_the_pack_expects(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Nothing differs, under the pack's names or any others."""
    results = evaluate(request.getfixturevalue(name))
    assert [result.differences for result in results.results if result.differences] == []
    assert results.passed
    assert results.count(Standing.PASSED) >= 30


def test_a_wrong_expectation_is_a_difference(pack: Pack) -> None:
    """Each thing that the pack says wrongly is told, with what was expected and what came."""
    first = pack.sheet.calls[0]
    wrong = replace(first, expect=replace(first.expect, rule="R9"))
    results = evaluate(_with(pack, wrong))
    assert results.results[0].differences == ("rule: expected R9, got R1",)
    assert not results.passed


def test_what_needs_a_network_is_live_only(pack: Pack) -> None:
    """A spoiled proof and an untrusted issuer cannot be judged offline, and do not pass."""
    first = pack.sheet.calls[0]
    stranger = replace(first, token=replace(first.token, issuer="https://idp.rogue.example"))
    assert evaluate(_with(pack, stranger)).results[0].standing is Standing.LIVE_ONLY


def test_a_withheld_answer_is_judged_as_far_as_its_decision(pack: Pack) -> None:
    """A permit whose answer is withheld is judged as a permit; the rest is live only."""
    results = [r for r in evaluate(pack).results if r.call.expect.status == 502]
    assert results
    for result in results:
        assert result.standing is Standing.PASSED
        assert {"status", "reason"} <= set(result.live_only)


def test_tells_whether_a_call_would_be_permitted_at_another_time(pack: Pack) -> None:
    """The same call is permitted at its own instant and not before the agreement began."""
    first = pack.sheet.calls[0]
    assert would_permit(first, pack, first.at)
    assert not would_permit(first, pack, datetime(2019, 1, 1, tzinfo=UTC))


def test_a_call_that_cannot_be_played_fails_alone(pack: Pack) -> None:
    """The others are judged all the same."""
    first = pack.sheet.calls[0]
    results = evaluate(_with(pack, replace(first, path="nowhere"), first))
    assert [one.standing for one in results.results] == [Standing.FAILED, Standing.PASSED]
    assert "it cannot be played: 'nowhere' is not a path" in results.results[0].differences[0]


def _with(pack: Pack, *calls: object) -> Pack:
    sheet = CallSheet(calls=calls, authoring_refusals=())  # type: ignore[arg-type]  # calls of the pack
    return replace(pack, sheet=sheet)
