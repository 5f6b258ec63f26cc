"""Authoring attempts are made for real, under any names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.demo.attempts import attempt_all, breaches
from gateway.demo.judge import Standing
from gateway.demo.packs import Pack
from gateway.demo.scenario import AuthoringRefusal


def _attempt(pack: Pack, change: dict[str, object], error: str | None = None) -> tuple[str, object]:
    first = pack.sheet.authoring_refusals[0]
    refusal = replace(first, change=change, error=error)
    sheet = replace(pack.sheet, authoring_refusals=(refusal,))
    (result,) = attempt_all(replace(pack, sheet=sheet))
    return result.standing.value, result.missing or result.codes


@pytest.mark.parametrize("name", ["pack", "renamed_pack"])
def test_each_attempt_is_refused_with_its_code_alone(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Whatever the agreements, bodies and purposes are called."""
    pack: Pack = request.getfixturevalue(name)
    results = attempt_all(pack)
    assert len(results) == 4
    for result in results:
        assert result.standing is Standing.PASSED
        assert result.codes == (result.refusal.error,)
    assert breaches(pack) == ()


def test_a_change_that_nobody_refuses_fails(pack: Pack) -> None:
    """What ought to be refused and is not is a difference, and so is another code."""
    assert _attempt(pack, {"title": "Another title"}) == ("failed", ())
    assert _attempt(pack, {"costs.charging": "none"}) == ("failed", ())
    other = _attempt(pack, {"register_id": None}, "SIGNATURE_MISSING")
    assert other == ("failed", ("REGISTER_ENTRY_MISSING",))


def test_any_member_can_be_changed_by_its_place(pack: Pack) -> None:
    """Dots lead to it; what the schema refuses is refused with the schema's code."""
    assert _attempt(pack, {"onward_sharing.permitted": True}, "ONWARD_SHARING_BARRED") == (
        "passed",
        ("ONWARD_SHARING_BARRED",),
    )
    assert _attempt(pack, {"parties.0.dp_role": "king"}) == ("passed", ("not-one-of",))
    assert _attempt(pack, {"provider_article6": ["UKGDPR-6-1-f"]})[0] == "passed"


def test_what_cannot_be_attempted_is_not_yet(pack: Pack) -> None:
    """An unknown change, a place that is not there, an agreement that is not there."""
    assert _attempt(pack, {"burn": True}) == ("not yet", "the change burn")
    assert _attempt(pack, {"parties.9.ref": "x"}) == ("not yet", "the change parties.9.ref")
    stranger = AuthoringRefusal(id="x", title="", agreement="DSA-1999-0001")
    sheet = replace(pack.sheet, authoring_refusals=(stranger,))
    (result,) = attempt_all(replace(pack, sheet=sheet))
    assert result.missing == "the agreement DSA-1999-0001"


def test_a_packs_own_breaches_are_told(pack: Pack) -> None:
    """They do not stop it from being played."""
    key = next(key for key in pack.configuration.agreements if key.endswith("0003"))
    broken = {**pack.configuration.agreements[key], "onward_sharing": {"permitted": True}}
    agreements = {**pack.configuration.agreements, key: broken}
    spoiled = replace(pack, configuration=replace(pack.configuration, agreements=agreements))
    assert any(f"{key}: " in one and "[ONWARD_SHARING_BARRED]" in one for one in breaches(spoiled))
    assert _attempt(spoiled, {"register_id": None}) == ("passed", ("REGISTER_ENTRY_MISSING",))
    again: dict[str, object] = {"onward_sharing.permitted": True}
    assert "ONWARD_SHARING_BARRED" in str(_attempt(spoiled, again, "ONWARD_SHARING_BARRED"))


def test_a_place_that_is_not_there_is_a_change_that_nobody_knows(pack: Pack) -> None:
    """Whatever comes after it, and whatever came before."""
    for change in ({"parties.².ref": 1}, {"parties": ["x"], "add_consumer": "y"}, {"title.a": 1}):
        standing, missing = _attempt(pack, dict[str, object](change))
        assert standing == "not yet"
        assert str(missing).startswith("the change ")
