"""How a service is reached: the members of its document that connectors read, policies not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Final

from connectors.credentials import (
    AUTHENTICATIONS,
    FORBIDDEN_HEADERS,
    HEADER,
    ApiKey,
    Basic,
    ClientCredentials,
    Credentials,
)
from connectors.http import HttpSettings, RequestIdEcho
from connectors.origin import BaseUrlInvalid, Origin
from connectors.secrets import ReferenceInvalid, SecretReference
from connectors.targets import TARGETS_MAX
from connectors.tls import ClientCertificate
from policies.reading import Fault, Section
from policies.service import REACH_MEMBERS

CREDENTIAL_KINDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "api-key": (("header", "secret"), ()),
    "basic": (("user", "secret"), ()),
    "oauth": (
        ("token_url", "client_id", "secret"),
        ("scope", "resource", "authentication"),
    ),
}
"""The kinds of credential, with the members that each must and may have."""
KIND_OF_CREDENTIALS: Final[Mapping[type[Credentials], str]] = {
    ApiKey: "api-key",
    Basic: "basic",
    ClientCredentials: "oauth",
}
"""The word for each kind in a document."""
TLS_MEMBERS: Final = ("authorities", "certificate", "key")

_NOWHERE: Final = SecretReference(source="", name="")


def read_reach(
    document: object, faults: list[Fault], pointer: tuple[str | int, ...]
) -> HttpSettings:
    """Read how one service is reached; its addresses may still be missing.

    Members that `policies.service` reads are left alone, as are those that it refuses. What is
    returned may be used only where nothing was added to `faults`.
    """
    given = document if isinstance(document, Mapping) else {}
    known = {name: given[name] for name in REACH_MEMBERS if name in given}
    one = Section(known, pointer, faults, optional=REACH_MEMBERS)
    urls = _urls(one)
    certificate, ca_file = _tls(one)
    return HttpSettings(
        base_url=urls[0] if urls else "",
        further_urls=urls[1:],
        networks=_networks(one),
        ca_file=ca_file,
        client_certificate=certificate,
        credentials=_credentials(one),
        request_id=RequestIdEcho(_word(one, "request_id", tuple(RequestIdEcho), "checked")),
    )


def check_reaches(entries: Sequence[object]) -> Iterator[Fault]:
    """Yield the faults of every service of ``services.yaml``."""
    faults: list[Fault] = []
    for position, entry in enumerate(entries):
        read_reach(entry, faults, ("services", position))
    yield from faults


def _urls(one: Section) -> tuple[str, ...]:
    if not one.given("base_urls"):
        url = one.optional_text("base_url")
        return (url,) if url else ()
    if one.given("base_url"):
        one.fault("base_url", "contradiction", "base_urls says it all: leave base_url out")
    urls = one.texts("base_urls")
    if not 1 <= len(urls) <= TARGETS_MAX:
        one.fault("base_urls", "malformed", f"between 1 and {TARGETS_MAX} addresses are asked for")
    return urls


def _networks(one: Section) -> tuple[str, ...]:
    networks = one.texts("networks")
    for network in networks:
        try:
            ip_network(network)
        except ValueError:
            message = f"{network!r} is not a network such as 10.20.0.0/16, without host bits"
            one.fault("networks", "malformed", message)
    return networks


def _tls(one: Section) -> tuple[ClientCertificate | None, str | None]:
    section = one.section("tls", optional=TLS_MEMBERS)
    ca_file = None
    if section.given("authorities"):
        ca_file = _reference(section, "authorities", files_only=True).name
    if section.given("certificate") != section.given("key"):
        one.fault("tls", "missing-key", "certificate and key come together")
    if not section.given("certificate"):
        return None, ca_file
    certificate = ClientCertificate(
        certificate=_reference(section, "certificate", files_only=True),
        key=_reference(section, "key", files_only=True),
    )
    return certificate, ca_file


def _credentials(one: Section) -> Credentials | None:
    if not one.given("credentials"):
        return None
    kind = one.free("credentials").get("kind")
    required, optional = CREDENTIAL_KINDS.get(kind, ((), ())) if isinstance(kind, str) else ((), ())
    if not required:  # which members are right cannot be said
        optional = tuple(one.free("credentials"))
    section = one.section("credentials", required=("kind", *required), optional=optional)
    section.word("kind", CREDENTIAL_KINDS)
    if kind == "api-key":
        return ApiKey(header=_header(section), secret=_reference(section, "secret"))
    if kind == "basic":
        return Basic(user=_user(section), secret=_reference(section, "secret"))
    return ClientCredentials(
        token_url=_token_url(section),
        client_id=section.text("client_id"),
        secret=_reference(section, "secret"),
        scope=section.optional_text("scope"),
        resource=section.optional_text("resource"),
        authentication=_word(section, "authentication", AUTHENTICATIONS, AUTHENTICATIONS[0]),
    )


CALLS_HEADERS: Final = frozenset(
    {
        "accept", "accept-encoding", "accept-language", "content-language", "content-type",
        "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
        "prefer", "range", "traceparent", "via", "x-correlation-id", "x-request-id",
    }
)  # fmt: skip
"""Fields that the gateway sends with calls: a key by such a name would make a call ambiguous."""


def _header(section: Section) -> str:
    header = section.text("header")
    if header and not HEADER.fullmatch(header):
        section.fault("header", "malformed", "a header's name is asked for, such as X-Api-Key")
    elif header.lower() in FORBIDDEN_HEADERS or header.lower() in CALLS_HEADERS:
        message = f"{header} frames a message or is a call's own, and carries no key"
        section.fault("header", "not-one-of", message)
    return header


def _user(section: Section) -> str:
    user = section.text("user")
    if ":" in user or not user.isprintable():
        section.fault("user", "malformed", "a user has no colon in it (RFC 7617, 2)")
    return user


def _token_url(section: Section) -> str:
    url = section.text("token_url")
    try:
        # A query is part of a token endpoint's address (RFC 6749, 3.2); loopback is judged later.
        Origin.parse(url.partition("?")[0], allow_loopback=True)
    except BaseUrlInvalid as invalid:
        if section.given("token_url"):
            section.fault("token_url", "malformed", str(invalid).replace("base URL", "token URL"))
    return url


def _reference(section: Section, name: str, *, files_only: bool = False) -> SecretReference:
    text = section.text(name)
    if not section.given(name):  # noted as missing
        return _NOWHERE
    try:
        reference = SecretReference.parse(text)
    except ReferenceInvalid as invalid:
        section.fault(name, "malformed", str(invalid))
        return _NOWHERE
    if files_only and reference.source != "file":
        section.fault(name, "malformed", "certificates and keys are files: file:NAME")
    return reference


def _word(section: Section, name: str, words: Iterable[str], default: str) -> str:
    if not section.given(name):
        return default
    word = section.word(name, words)
    return word if word in words else default
