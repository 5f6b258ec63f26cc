"""The descriptive sections are read whole, and faults are told at their members."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from policies.document import DocumentInvalid, read_agreement
from policies.times import Duration


def test_sections_keep_what_the_document_says(pack: Any) -> None:
    """A few members of every section, as written."""
    one = pack.agreements["DSA-2020-0001"]
    assert one.parties[1].clients == ("northvale-shielding-app",)
    assert one.legal.provider_basis["article6"] == ("UKGDPR-6-1-c",)
    assert one.legal.national_data_opt_out.applies is False
    assert one.legal.dpia.completed == date(2020, 4, 2)
    assert one.datasets[0].fields[10].never
    assert one.onward_sharing.recipients == ("urn:ukfdx:org:vcs:SYN-FOODBANK",)
    assert one.security.sender_constrained_tokens
    assert one.retention.audit_kept_for == Duration(months=96)
    assert one.feedback.owner_must_acknowledge_within == Duration(days=2)
    assert one.costs.usage_statement
    assert one.term.review_by == date(2022, 12, 31)
    assert one.transparency.publish == "full"
    assert one.governance[0].step == "submit"
    assert pack.agreements["DSA-2026-0003"].legal.dea.register_id == "SYN-526"


def test_a_party_without_a_list_of_clients_has_none_to_hold_to(pack: Any) -> None:
    """No list is not an empty list."""
    assert pack.agreements["DSA-2020-0001"].parties[0].clients is None


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        (("parties", 0, "dp_role"), "controler", "not-one-of"),
        (("purpose", "codes"), None, "wrong-type"),
        (("legal", "instruments"), [], "too-short"),
        (("legal", "dpia", "outcome"), "high", "not-one-of"),
        (("legal", "dea", "registerid"), "x", "unknown-key"),
        (("legal", "provider_basis", "article6"), 6, "wrong-type"),
        (("data", 0, "fields", 0, "class"), "secret", "not-one-of"),
        (("onward_sharing", "permitted"), "no", "wrong-type"),
        (("security", "transport"), "tcp", "not-one-of"),
        (("retention", "audit_kept_for"), "7 years", "malformed"),
        (("rights", "subject_visibility"), "hidden", "not-one-of"),
        (("term", "review_by"), "2027-02-30", "malformed"),
        (("transparency", "publish"), "none", "not-one-of"),
        (("governance", "decisions", 0, "at"), "yesterday", "malformed"),
        (("costs", "charging"), "free", "not-one-of"),
    ],
)
def test_a_fault_is_told_at_its_member(
    changed: Callable[..., dict[str, Any]], pointer: tuple[str | int, ...], value: Any, code: str
) -> None:
    """One wrong member gives one fault, there."""
    with pytest.raises(DocumentInvalid) as raised:
        read_agreement(changed("DSA-2026-0003", {pointer: value}))
    (fault,) = raised.value.faults
    assert (fault.pointer, fault.code) == (pointer, code)
