"""The checks of steps 1 to 7: who calls, under which agreement, on what law, for what."""

from __future__ import annotations

from policies.case import Case, Finding
from policies.compile import CompiledRule, assurance_rank
from policies.decision import PUBLIC, ReasonCode
from policies.identifiers import is_identifier


def check_caller(case: Case) -> None:
    """Step 1: the token names an organisation that its issuer may speak for, and is bound."""
    caller, found = case.query.caller, case.found
    if caller.organisation == PUBLIC and caller.client is None:
        if case.rule is None:
            detail = "This operation needs an access token."
            found.append(Finding("token", ReasonCode.TOKEN_MISSING, "access.rules", detail))
        return
    if caller.organisation not in caller.issuer_speaks_for:
        detail = "The token's issuer may not speak for the organisation that the token names."
        found.append(Finding("issuer", ReasonCode.ORG_MISMATCH, "parties", detail))
    if case.policy.sender_constrained and not caller.sender_constrained:
        found.append(
            Finding(
                "proof of possession",
                ReasonCode.PROOF_REQUIRED,
                "security.sender_constrained_tokens",
                "The agreement asks for a token that is bound to a key of the caller.",
                "Ask the issuer for a DPoP-bound or certificate-bound token",
            )
        )


def check_identifiers(case: Case) -> None:
    """Step 1: identifiers in path, query and body have the right syntax and check digits."""
    kinds = case.rule.identifiers if case.rule else None
    if not kinds:
        return
    for name in case.failing(kinds, is_identifier):
        detail = f"A value of {name} is not a valid {kinds[name]}."
        clause = case.clause("path")
        case.found.append(
            Finding("identifier syntax", ReasonCode.IDENTIFIER_INVALID, clause, detail)
        )


def check_purpose_present(case: Case) -> None:
    """Step 1: the token states a purpose; the public's is known from the rule."""
    if case.purpose is None and case.query.caller.organisation != PUBLIC:
        case.found.append(
            Finding(
                "purpose stated",
                ReasonCode.PURPOSE_MISSING,
                "purpose.codes",
                "The token states no purpose.",
                f"This agreement permits {_listed(case.policy.purposes)}",
            )
        )


def check_term(case: Case) -> None:
    """Step 2: the agreement is active, has started, has not ended, and its review is in grace."""
    policy, at, found = case.policy, case.query.at, case.found
    if not policy.answering:
        detail = f"The agreement is {policy.status.replace('_', ' ')}, not active."
        found.append(Finding("state", ReasonCode.AGREEMENT_NOT_ACTIVE, "status", detail))
    if at < policy.starts:
        detail = f"The agreement starts at {policy.starts.isoformat()}."
        found.append(Finding("start", ReasonCode.AGREEMENT_NOT_STARTED, "term.start", detail))
    if policy.ends is not None and at > policy.ends:
        detail = f"The agreement ended at {policy.ends.isoformat()}."
        found.append(Finding("end", ReasonCode.AGREEMENT_EXPIRED, "term.end", detail))
    if at >= policy.review_lapses:
        lapsed = policy.review_lapses.isoformat()
        detail = f"The agreement's review was due, and its grace ran out at {lapsed}."
        hint = "Ask the data owner to review the agreement"
        found.append(Finding("review", ReasonCode.REVIEW_OVERDUE, "term.review_by", detail, hint))


def check_law(case: Case) -> None:
    """Step 3: a legal instrument that covers the purpose is in force, and registered if it must.

    A purpose that is not the agreement's stands on no instrument of it: step 5 refuses it by name.
    """
    policy, purpose = case.policy, case.purpose
    if purpose is None or purpose not in policy.purposes:
        return
    reliance = case.reliance = case.law.reliance(policy.instruments, purpose, case.query.at)
    if reliance is None or not reliance.in_force:
        known = reliance is not None and reliance.version is not None
        ended = reliance.version.until if reliance and reliance.version else None
        detail = (
            f"{reliance.text} ended at {ended.isoformat()}."
            if reliance and ended
            else f"No legal instrument of the agreement is in force for {purpose}."
        )
        case.found.append(
            Finding(
                "legal instrument",
                ReasonCode.LEGAL_INSTRUMENT_NOT_IN_FORCE,
                "legal.instruments",
                detail,
                "Ask the data owner for an agreement on another basis",
                unknown=not known,
            )
        )
    # DEA 2017 s.44 and its code: no disclosure under an agreement that is not on the register.
    if reliance and reliance.instrument.register_entry_required and not policy.registered:
        detail = "The agreement is not on the register that its legal power asks for."
        case.found.append(
            Finding("register", ReasonCode.REGISTER_ENTRY_MISSING, "legal.dea.register_id", detail)
        )


def check_party(case: Case) -> None:
    """Step 4: the organisation is a party and the client one of its clients, or the rule public."""
    if not case.admitted:
        detail = "The caller's organisation and client are not on the agreement."
        case.found.append(Finding("party", ReasonCode.PARTY_NOT_ON_AGREEMENT, "parties", detail))


def check_purpose(case: Case) -> None:
    """Step 5: the purpose is one that the agreement and the rule permit, and is not prohibited."""
    policy, purpose, rule = case.policy, case.purpose, case.rule
    if purpose is None:
        return
    hint = f"This agreement permits {_listed(policy.purposes)}"
    if purpose in policy.prohibited:
        clause, detail = "purpose.prohibited", "The agreement prohibits this purpose by name."
    elif purpose not in policy.purposes:
        clause, detail = "purpose.codes", "The purpose is not one of the agreement's."
    elif rule is not None and purpose not in rule.purposes:
        clause, detail = case.clause("purposes"), f"Rule {rule.id} does not permit this purpose."
        hint = f"This operation is permitted for {_listed(rule.purposes)}"
    else:
        return
    case.found.append(Finding("purpose", ReasonCode.PURPOSE_NOT_PERMITTED, clause, detail, hint))


def check_operation(case: Case) -> None:
    """Step 6: a rule for the caller's organisation matches method and path."""
    if case.rule is not None:
        return
    organisation = case.query.caller.organisation
    mine = [
        f"{'/'.join(sorted(rule.methods))} {rule.template.text}"
        for rule in case.policy.rules
        if rule.party in (organisation, PUBLIC)
    ]
    case.found.append(
        Finding(
            "operation",
            ReasonCode.ENDPOINT_NOT_PERMITTED,
            "access.rules",
            "No rule of the agreement lets the caller's organisation use this method and path.",
            f"This agreement permits {_listed(mine)}" if mine else None,
        )
    )


def check_urgency(case: Case) -> None:
    """Break-glass, invoked: it must be on offer for this rule, in its bounds, and well founded.

    From here on the case is judged by the clause: `Case.urgent` is set where it is on offer.
    """
    said, rule = case.query.break_glass, case.rule
    if said is None or rule is None:
        return
    urgent = case.urgent = rule.urgent
    where, name = "access.break_glass", "break-glass"
    if urgent is None or said.suspended or (urgent.single_subject and not _names_one(case, rule)):
        detail = (
            "An urgent grant is for one person at a time, named in the request."
            if urgent and not said.suspended
            else "Break-glass is not available to this user for this operation."
        )
        case.found.append(Finding(name, ReasonCode.BREAK_GLASS_NOT_AVAILABLE, where, detail))
        return
    started = min(said.started_at or case.query.at, case.query.at)
    if case.query.at >= urgent.ttl.after(started):
        detail = "The urgent grant has run out."
        hint = "If the danger goes on, start a new grant with a new justification"
        where_ttl = f"{where}.ttl"
        case.found.append(Finding(name, ReasonCode.BREAK_GLASS_EXPIRED, where_ttl, detail, hint))
    if said.reason not in urgent.reasons:
        detail = "The reason for breaking the glass is not one of the agreement's."
        hint = f"Reasons permitted: {_listed(sorted(urgent.reasons))}"
        clause = f"{where}.reasons"
        case.found.append(Finding(name, ReasonCode.JUSTIFICATION_REQUIRED, clause, detail, hint))
    if len(said.justification.strip()) < urgent.justification_chars_min:
        detail = f"The justification is shorter than {urgent.justification_chars_min} characters."
        hint = "Say in a sentence why this person's data is needed now"
        clause = f"{where}.justification_min_chars"
        case.found.append(Finding(name, ReasonCode.JUSTIFICATION_REQUIRED, clause, detail, hint))


def check_actor(case: Case) -> None:
    """Step 7: the user's role and level of assurance are those that the rule asks for."""
    rule, caller, urgent = case.rule, case.query.caller, case.urgent
    if rule is None:
        return
    person = rule.mode != "user" or caller.subject not in (None, caller.client)
    roles_fail = not person or (bool(rule.roles) and rule.roles.isdisjoint(caller.roles))
    wanted, asked = rule.roles, rule.assurance
    if urgent is not None:
        relaxed = person and "roles" in urgent.relaxes
        roles_fail = (roles_fail and not relaxed) or urgent.roles.isdisjoint(caller.roles)
        wanted = urgent.roles if "roles" in urgent.relaxes else urgent.roles & rule.roles
        asked = max(asked, urgent.assurance)
    if roles_fail:
        detail = "The user holds none of the roles that this operation asks for."
        hint = f"Roles permitted: {_listed(sorted(wanted))}" if wanted else "A user is asked for"
        clause = case.clause("actor.roles")
        case.found.append(Finding("role", ReasonCode.ROLE_NOT_PERMITTED, clause, detail, hint))
    if asked and assurance_rank(caller.acr) < asked:
        detail = "The user signed in with less assurance than this operation asks for."
        clause, hint = case.clause("actor.min_acr"), f"Sign in at AAL{asked} or above"
        case.found.append(Finding("assurance", ReasonCode.ASSURANCE_TOO_LOW, clause, detail, hint))


def _names_one(case: Case, rule: CompiledRule) -> bool:
    """Whether path, query and body together name just one person of the dataset."""
    subject = rule.duties.subject_field
    named = {str(value) for name, value in case.named_values() if name == subject}
    return subject is not None and len(named) == 1 and len(case.query.rows or ()) <= 1


def _listed(words: list[str] | tuple[str, ...]) -> str:
    return ", ".join(words)
