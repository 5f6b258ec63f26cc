"""The claims that an access token must and may carry, and the form of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.identity.caller import BreakGlassClaim, Claims

IDENTIFIER_CHARACTERS_MAX: Final = 256
PROSE_CHARACTERS_MAX: Final = 2_000
AUDIENCES_MAX: Final = 32
SCOPE_CHARACTERS_MAX: Final = 2_000
ROLES_MAX: Final = 64
CONTEXT_ENTRIES_MAX: Final = 16
NUMERIC_DATE_MAX: Final = 253_402_300_799
"""The last second of the year 9999: what a datetime can hold."""

DETAILS_TYPE: Final = "data_exchange"
_DETAILS_MEMBERS: Final = frozenset(
    {"type", "agreement", "purpose", "context", "on_behalf_of", "break_glass"}
)
_BREAK_GLASS_MEMBERS: Final = frozenset(
    {"reason", "justification", "started_at", "subjects_so_far"}
)
_CONFIRMATION_MEMBERS: Final = frozenset({"jkt", "x5t#S256"})
_SHA256_BASE64URL_CHARACTERS: Final = 43
_SCOPE_CHARACTERS: Final = frozenset(map(chr, range(0x20, 0x7F))) - {'"', "\\"}


class ClaimRefused(Exception):
    """A claim is missing or has not its form; the message names the claim, never its value."""


def read_claims(payload: Mapping[str, object], *, key_id: str, token_hash: bytes) -> Claims:
    """Read the claims of an access token whose signature holds.

    Required: `iss`, `sub`, `client_id`, `jti`, `aud`, `exp`, `iat` (RFC 9068, section 2.2) and
    `org`, or its NHS alias `requesting_organization`. Optional: `scope`, `roles`, `acr`, `cnf`
    (RFC 7800) and `authorization_details` (RFC 9396); `reason_for_request` is the NHS alias of
    its `purpose`. An alias beside the claim that it stands for must say the same. Members of
    `authorization_details` and `cnf` that we do not know are refused, since what cannot be
    understood cannot be enforced. Other unknown claims are ignored (RFC 7519, section 4).

    Raises:
        ClaimRefused: where a claim is missing or has another form.
    """
    details = _details(payload)
    confirmation = _confirmation(payload)
    organisation = _aliased(
        _optional(payload, "org"), _optional(payload, "requesting_organization"), "org"
    )
    if organisation is None:
        raise ClaimRefused("org is missing")
    return Claims(
        issuer=required(payload, "iss"),
        organisation=organisation,
        client_id=required(payload, "client_id"),
        subject=required(payload, "sub"),
        token_id=required(payload, "jti"),
        audience=_audience(payload),
        issued_at=math.ceil(numeric_date(payload, "iat")),
        expires_at=math.floor(numeric_date(payload, "exp")),
        key_id=key_id,
        token_hash=token_hash,
        scope=_scope(payload),
        roles=_roles(payload),
        acr=_optional(payload, "acr"),
        purpose=_aliased(
            _optional(details, "purpose"), _optional(payload, "reason_for_request"), "purpose"
        ),
        agreement=_optional(details, "agreement"),
        context=_context(details),
        on_behalf_of=_optional(details, "on_behalf_of"),
        break_glass=_break_glass(details),
        confirmation_jkt=confirmation.get("jkt"),
        confirmation_x5t=confirmation.get("x5t#S256"),
    )


def required(payload: Mapping[str, object], name: str) -> str:
    """Return a required identifier: 1 to 256 printable characters.

    Raises:
        ClaimRefused: where it is missing or anything else.
    """
    if name not in payload:
        raise ClaimRefused(f"{name} is missing")
    return _identifier(payload[name], name)


def numeric_date(payload: Mapping[str, object], name: str) -> float:
    """Return a required NumericDate, in seconds since 1970 (RFC 7519, section 2).

    Raises:
        ClaimRefused: where it is missing, no number, or outside 1970 to 9999.
    """
    value = payload.get(name)
    # A JSON true would pass as the integer 1.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ClaimRefused(f"{name} is missing or no number")
    if not 0 <= value <= NUMERIC_DATE_MAX:
        raise ClaimRefused(f"{name} is out of range")
    return value


def _identifier(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ClaimRefused(f"{name} is no string")
    if not 0 < len(value) <= IDENTIFIER_CHARACTERS_MAX or not value.isprintable():
        raise ClaimRefused(f"{name} is empty, too long or not printable")
    return value


def _optional(members: Mapping[str, object], name: str) -> str | None:
    return _identifier(members[name], name) if name in members else None


def _aliased(value: str | None, alias: str | None, name: str) -> str | None:
    if value is not None and alias is not None and value != alias:
        raise ClaimRefused(f"{name} and its alias differ")
    return alias if value is None else value


def _prose(value: object, name: str) -> str:
    """Return text that people wrote: it may be empty and have several lines."""
    if not isinstance(value, str) or len(value) > PROSE_CHARACTERS_MAX:
        raise ClaimRefused(f"{name} is no string, or too long")
    if not value.replace("\n", "").isprintable():
        raise ClaimRefused(f"{name} is not printable")
    return value


def _audience(payload: Mapping[str, object]) -> frozenset[str]:
    """Return `aud`, one string or several (RFC 7519, section 4.1.3)."""
    value = payload.get("aud")
    members = [value] if isinstance(value, str) else value
    if not isinstance(members, list) or not 0 < len(members) <= AUDIENCES_MAX:
        raise ClaimRefused("aud is missing, empty or too long")
    return _identifiers(members, "aud")


def _roles(payload: Mapping[str, object]) -> frozenset[str]:
    """Return `roles` (RFC 9068, section 2.2.3.1), in the form of a list of strings."""
    members = payload.get("roles", [])
    if not isinstance(members, list) or len(members) > ROLES_MAX:
        raise ClaimRefused("roles is no list, or too long")
    return _identifiers(members, "roles")


def _identifiers(members: Iterable[object], name: str) -> frozenset[str]:
    return frozenset(_identifier(member, name) for member in members)


def _scope(payload: Mapping[str, object]) -> frozenset[str]:
    """Return `scope`: tokens with one space between (RFC 6749, section 3.3).

    Some servers write an empty string for "no scope"; that harms nobody.
    """
    value = payload.get("scope", "")
    if not isinstance(value, str) or len(value) > SCOPE_CHARACTERS_MAX:
        raise ClaimRefused("scope is no string, or too long")
    scopes = value.split(" ") if value else []
    if "" in scopes or not _SCOPE_CHARACTERS.issuperset(value):
        raise ClaimRefused("scope is not tokens with one space between")
    return frozenset(scopes)


def _details(payload: Mapping[str, object]) -> Mapping[str, object]:
    """Return the one data-exchange object of `authorization_details` (RFC 9396, section 9.1)."""
    if "authorization_details" not in payload:
        return {}
    match payload["authorization_details"]:
        case [dict(members)] if members.get("type") == DETAILS_TYPE:
            if not members.keys() <= _DETAILS_MEMBERS:
                raise ClaimRefused("authorization_details has a member that is not known")
            return members
    raise ClaimRefused(f"authorization_details is not one {DETAILS_TYPE} object")


def _context(details: Mapping[str, object]) -> Mapping[str, str]:
    value = details.get("context", {})
    if not isinstance(value, dict) or len(value) > CONTEXT_ENTRIES_MAX:
        raise ClaimRefused("context is no object, or too large")
    return {_identifier(name, "context"): _prose(text, "context") for name, text in value.items()}


def _break_glass(details: Mapping[str, object]) -> BreakGlassClaim | None:
    """Return `break_glass`; what is left out is empty, for the decision to refuse with a reason."""
    if "break_glass" not in details:
        return None
    value = details["break_glass"]
    if not isinstance(value, dict) or not value.keys() <= _BREAK_GLASS_MEMBERS:
        raise ClaimRefused("break_glass is no object, or has a member that is not known")
    return BreakGlassClaim(
        reason=_prose(value.get("reason", ""), "break_glass"),
        justification=_prose(value.get("justification", ""), "break_glass"),
        started_at=_instant(value["started_at"]) if "started_at" in value else None,
        subjects_so_far=_count(value.get("subjects_so_far", 0)),
    )


def _instant(value: object) -> datetime:
    """Return an instant with its offset (RFC 3339)."""
    try:
        found = datetime.fromisoformat(_prose(value, "break_glass"))
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ClaimRefused("break_glass.started_at is no instant with an offset")


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ClaimRefused("break_glass.subjects_so_far is no number of people")


def _confirmation(payload: Mapping[str, object]) -> Mapping[str, str]:
    """Return `cnf`: `jkt` (RFC 9449, section 6.1), `x5t#S256` (RFC 8705, section 3.1), or both."""
    if "cnf" not in payload:
        return {}
    value = payload["cnf"]
    if not isinstance(value, dict) or not value or not value.keys() <= _CONFIRMATION_MEMBERS:
        raise ClaimRefused("cnf has no kind of binding that is known")
    found: dict[str, str] = {}
    for name, thumbprint in value.items():
        found[name] = _identifier(thumbprint, "cnf")
        if len(found[name]) != _SHA256_BASE64URL_CHARACTERS or not found[name].isascii():
            raise ClaimRefused("cnf is no SHA-256 thumbprint")
    return found
