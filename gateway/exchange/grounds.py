"""On what an exchange stands: what agreement, law and configuration say of it in its record.

The members are those that section 5b of the evidence asks for (law, what, handling).
"""

from __future__ import annotations

from gateway import __version__
from gateway.exchange.facts import Exchange
from gateway.exchange.held import microseconds
from policies.agreement import Legal
from policies.compile import Policy
from policies.decision import Outcome, ReasonCode, Verdict
from policies.law import Law

Ground = str | int | bool | list[str] | None


def constant_core(exchange: Exchange, instance: str) -> dict[str, object]:
    """Return what the `core` of all exchanges of one decision, caller and service has in common.

    A member that is None or an empty list is not known, or does not apply.
    """
    decision, query, service = exchange.decision, exchange.query, exchange.service
    rule = exchange.policy.rule(decision.rule) if exchange.policy and decision.rule else None
    agreement = decision.agreement
    urgent = decision.break_glass
    denied = not decision.permitted
    return {
        **grounds(exchange),
        "decision": str(decision.verdict),
        # A body that cannot be read is no refusal of the closed list: its problem tells.
        "reason": None if denied and decision.reason is ReasonCode.OK else str(decision.reason),
        "failed": [str(c.reason) for c in decision.checks if c.outcome is not Outcome.PASSED],
        "agreement": agreement and agreement.id,
        "agreement_version": agreement and agreement.version,
        "agreement_digest": agreement and agreement.digest,
        "rule": decision.rule,
        "action": decision.action,
        "purpose": query.purpose or decision.purpose,
        "instrument": decision.instrument,
        "consumer": query.caller.organisation,
        "provider": service and service.facts.owner,
        "service": service and service.facts.connector,
        "dataset": rule and rule.dataset,
        "data_classes": sorted(rule.data_classes) if rule else None,
        "method": query.method,
        "route": decision.route,
        "alert": decision.alert,
        "subject_view": "hidden" if decision.duties.hide_from_subject else "visible",
        "notify": list(urgent.notify) if urgent else None,
        "review_due": microseconds(urgent.review_due) if urgent else None,
        "break_glass": decision.verdict is Verdict.PERMIT_BREAK_GLASS or None,
        "grant": exchange.grant.holder.hex() if exchange.grant else None,
        "grant_ends": microseconds(urgent.expires_at) if urgent else None,
        "gateway": instance,
        "software": __version__,
    }


def grounds(exchange: Exchange) -> dict[str, Ground]:
    """Return the law, the duties and the handling of an exchange, and what was in force.

    None of it names a person, and none of it differs between two exchanges of one decision.
    """
    decision, snapshot, policy = exchange.decision, exchange.snapshot, exchange.policy
    rule = policy.rule(decision.rule) if policy and decision.rule else None
    found: dict[str, Ground] = {
        "revision": snapshot.revision,
        "vocabulary": snapshot.vocabulary,
        **_instrument(decision.instrument, snapshot.law),
    }
    if policy is not None:
        found |= _legal(policy.legal) | _handling(policy)
    if rule is not None:
        found["obligations"] = list(rule.obligations)
    return found


def _instrument(relied_on: str | None, law: Law) -> dict[str, Ground]:
    """Return the legal gateway of ``ID@version``, and when that version ends."""
    if relied_on is None:
        return {}
    identifier, _, number = relied_on.rpartition("@")
    instrument = law.instruments[identifier]
    until = next(one.until for one in instrument.versions if str(one.version) == number)
    return {
        "legal_gateway": instrument.gateway,
        "instrument_until": microseconds(until) if until else None,
    }


def _legal(legal: Legal) -> dict[str, Ground]:
    """Return both parties' bases by the list that they are from, and the safeguards of the law."""
    opt_out = legal.national_data_opt_out
    return {
        **{name: list(codes) for name, codes in legal.provider_basis.items()},
        **{f"consumer_{name}": list(codes) for name, codes in legal.consumer_basis.items()},
        "exemptions": list(legal.exemptions),
        "confidentiality": legal.confidentiality_basis,
        "opt_out": opt_out.applies if opt_out else None,
        "register": legal.dea.register_id if legal.dea else None,
    }


def _handling(policy: Policy) -> dict[str, Ground]:
    return {
        "restriction_basis": policy.restriction_basis,
        "kept_for": policy.retention.audit_kept_for.text,
        "legal_hold": policy.retention.legal_hold,
    }
