"""Bodies, and the issuers that speak for them, from their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.registry.documents import Overlay, PlainDocument
from policies.reading import Fault, Section

PARTY_TEXTS: Final = ("kind", "gss", "legal_person", "ico", "dspt")
PARTY_FLAGS: Final = ("public_authority", "competent_authority")
PARTY_NUMBERS: Final = ("dea_sch4",)
"""What a party's entry may say beside its reference, name and issuer."""

ISSUER_MEMBERS: Final = ("metadata_url", "algorithms", "proof_required", "lifetime_s_max")
"""What an issuer's entry may say beside its identifier."""

ALGORITHMS: Final = frozenset(
    f"{family}{bits}" for family in ("ES", "PS", "RS") for bits in (256, 384, 512)
) | {"EdDSA", "Ed25519"}
"""JWS algorithms that an issuer may be registered with: asymmetric ones alone (RFC 8725, 3.1)."""


def read_parties(
    document: object, faults: list[Fault]
) -> tuple[dict[str, PlainDocument], dict[str, dict[str, object]]]:
    """Return the bodies by reference, and for each issuer an entry with its organisations."""
    organisations: dict[str, PlainDocument] = {}
    speaks_for: dict[str, list[str]] = {}
    root = Section(document, (), faults, required=("parties",))
    optional = (*PARTY_TEXTS, *PARTY_FLAGS, *PARTY_NUMBERS, "issuer")
    for entry in root.sections("parties", required=("ref", "name"), optional=optional):
        reference = entry.text("ref")
        if reference in organisations:
            entry.fault("ref", "duplicate", f"{reference!r} is listed twice")
        organisations[reference] = _party(entry)
        issuer = entry.nullable_text("issuer")
        if issuer is not None:
            speaks_for.setdefault(issuer, []).append(reference)
    issuers: dict[str, dict[str, object]] = {
        issuer: {"issuer": issuer, "organisations": sorted(references)}
        for issuer, references in speaks_for.items()
    }
    return organisations, issuers


def read_issuers(
    document: object, issuers: dict[str, dict[str, object]], faults: list[Fault]
) -> None:
    """Add to `issuers` what the issuers' own file says of them."""
    seen: set[str] = set()
    root = Section(document, (), faults, required=("issuers",))
    for entry in root.sections("issuers", required=("issuer",), optional=ISSUER_MEMBERS):
        issuer = entry.text("issuer")
        if issuer in seen:
            entry.fault("issuer", "duplicate", f"{issuer!r} is listed twice")
        seen.add(issuer)
        said: Mapping[str, object] = {
            "metadata_url": entry.optional_text("metadata_url"),
            "algorithms": list(entry.texts("algorithms", words=ALGORITHMS)) or None,
            "proof_required": entry.flag("proof_required") or None,
            "lifetime_s_max": entry.optional_integer("lifetime_s_max", minimum=1),
        }
        if issuer not in issuers:
            entry.fault("issuer", "issuer-unused", f"no party names {issuer!r} as its issuer")
            continue
        issuers[issuer] |= {name: value for name, value in said.items() if value is not None}


def overlay_issuers(issuers: Mapping[str, dict[str, object]], overlay: Overlay) -> None:
    """Fill in where the issuers' metadata stand, for those that `overlay` knows."""
    for issuer, url in overlay.metadata_urls.items():
        if issuer in issuers:
            issuers[issuer]["metadata_url"] = url


def _party(entry: Section) -> PlainDocument:
    said: dict[str, object] = {"ref": entry.text("ref"), "name": entry.text("name")}
    said |= {name: entry.text(name) for name in PARTY_TEXTS if entry.has(name)}
    said |= {name: entry.flag(name) for name in PARTY_FLAGS if entry.has(name)}
    said |= {name: entry.integer(name, minimum=1) for name in PARTY_NUMBERS if entry.has(name)}
    return said
