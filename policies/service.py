"""What decisions and duties need to know about a service behind the gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from policies.identifiers import IDENTIFIER_KINDS
from policies.reading import DocumentInvalid, Fault, Section

ERROR_FORMATS: Final = ("problem", "operation-outcome")

REACH_MEMBERS: Final = ("base_url", "base_urls", "networks", "tls", "credentials", "request_id")
"""Members that say how a service is reached: known here, read by whoever reaches it."""

_OPTIONAL: Final = (
    *("kind", "title", "datasets", "scope_columns", "restricted_when", "restricted_redacts"),
    *("identifiers", "records_at", "count_at", "error_format"),
    *REACH_MEMBERS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """The facts of one service, named by its connector.

    `identifiers` maps a column or parameter to the kind of identifier it holds. A record in which
    every column of `restricted_when` has the value given is of somebody whose address is
    protected; `restricted_redacts` are the columns that would tell it. `scope_columns` are those
    on which the rows of an answer are checked again. `records_at` and `count_at` are JSON
    pointers, ``*`` standing for every item.
    """

    connector: str
    owner: str
    title: str = ""
    datasets: frozenset[str] = frozenset()
    identifiers: Mapping[str, str] = field(default_factory=dict)
    scope_columns: tuple[str, ...] = ()
    restricted_when: Mapping[str, str] = field(default_factory=dict)
    restricted_redacts: tuple[str, ...] = ()
    records_at: str = "/records"
    count_at: tuple[str, ...] = ()
    error_format: str = "problem"


def read_services(document: object) -> tuple[ServiceFacts, ...]:
    """Read ``services.yaml``: ``{"services": [...]}``; ``department`` is the demo's and left alone.

    `kind` and `REACH_MEMBERS` say how a service is reached; they are known here and read elsewhere.

    Raises:
        DocumentInvalid: with every fault of the document.
    """
    faults: list[Fault] = []
    root = Section(document, (), faults, required=("services",), optional=("department",))
    found = root.sections("services", required=("connector", "owner"), optional=_OPTIONAL)
    services = tuple(_read_service(one) for one in found)
    connectors = [service.connector for service in services]
    for one, service in zip(found, services, strict=True):
        if connectors.count(service.connector) > 1:
            one.fault("connector", "duplicate", f"{service.connector!r} is there twice")
    if faults:
        raise DocumentInvalid(faults)
    return services


def identifier_names(services: Iterable[ServiceFacts]) -> frozenset[str]:
    """Return every name under which one of the services knows whom or what a call is about."""
    return frozenset(name for service in services for name in service.identifiers)


def _read_service(one: Section) -> ServiceFacts:
    standing = ServiceFacts(connector="", owner="")
    kinds = _texts_by_name(one, "identifiers")
    section = one.section("identifiers", optional=kinds)
    for name in kinds:
        section.word(name, IDENTIFIER_KINDS)
    records_at = one.optional_text("records_at") or standing.records_at
    count_at = one.texts("count_at")
    for name, pointers in (("records_at", (records_at,)), ("count_at", count_at)):
        if not all(pointer.startswith("/") for pointer in pointers):
            one.fault(name, "malformed", "a JSON pointer begins with a slash (RFC 6901)")
    return ServiceFacts(
        connector=one.text("connector"),
        owner=one.text("owner"),
        title=one.optional_text("title") or standing.title,
        datasets=frozenset(one.texts("datasets")),
        identifiers=kinds,
        scope_columns=one.texts("scope_columns"),
        restricted_when=_texts_by_name(one, "restricted_when"),
        restricted_redacts=one.texts("restricted_redacts"),
        records_at=records_at,
        count_at=count_at,
        error_format=(
            one.word("error_format", ERROR_FORMATS)
            if one.given("error_format")
            else standing.error_format
        ),
    )


def _texts_by_name(one: Section, name: str) -> Mapping[str, str]:
    members = one.free(name)
    section = one.section(name, optional=members)
    return {key: section.text(key) for key in members}
