"""What the rules see of an agreement: its day, its sides and the facts of its parties."""

from __future__ import annotations

from datetime import UTC, datetime

from policies.authoring.draft import Draft, PartyFacts, Side
from policies.document import read_agreement
from tests.policies.authoring.examples import AT, DOCUMENTS, FACTS, PRODUCT_LAW, changed


def draft_of(of: int, status: str = "active", at: datetime = AT) -> Draft:
    """Return scenario `of` as a draft, in another state."""
    agreement = read_agreement(changed(DOCUMENTS[of], {("status",): status}))
    return Draft(agreement=agreement, law=PRODUCT_LAW, parties=FACTS, at=at)


def test_what_was_signed_is_judged_by_the_law_of_its_day() -> None:
    """The day is that of the last signature or activation, or the start if that is later."""
    assert draft_of(1).day == datetime(2020, 4, 6, 8, tzinfo=UTC)
    assert draft_of(3).day == draft_of(3).agreement.term.start


def test_a_draft_is_judged_by_the_law_of_the_day_it_could_apply() -> None:
    """That is its start, or now if it should have started already."""
    assert draft_of(1, "draft").day == AT
    early = datetime(2026, 1, 1, tzinfo=UTC)
    assert draft_of(3, "draft", early).day == draft_of(3).agreement.term.start


def test_a_side_has_its_regime_and_its_parties() -> None:
    """A council that discloses to the police is under UK GDPR, and the police are not."""
    draft = draft_of(5)
    assert (draft.ukgdpr(Side.PROVIDER), draft.part3(Side.PROVIDER)) == (True, False)
    assert (draft.ukgdpr(Side.CONSUMER), draft.part3(Side.CONSUMER)) == (False, True)
    assert [party.ref for _, party in draft.members(Side.PROVIDER)] == ["gss:E06999001"]
    assert "public" not in [party.ref for _, party in draft_of(4).bodies()]


def test_facts_come_from_a_bodys_entry() -> None:
    """What the entry does not say is not so; the nation is that of a GSS code."""
    scottish = PartyFacts.of({"ref": "gss:S12999001", "dea_sch4": 12, "public_authority": True})
    assert (scottish.nation, scottish.dea_paragraph) == ("GB-SCT", 12)
    assert scottish.public_authority
    assert not scottish.competent_authority
    board = PartyFacts.of({"ref": "ods:QZ9", "gss": "E54999001"})
    assert board.nation == "GB-ENG"
    assert PartyFacts.of({"ref": "ods:EZ9"}).nation is None
