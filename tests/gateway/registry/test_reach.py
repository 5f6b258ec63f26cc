"""How services are reached is read strictly, and no secret is repeated in a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.credentials import ApiKey, Basic, ClientCredentials
from connectors.http import HttpSettings, RequestIdEcho
from connectors.secrets import SecretReference
from connectors.tls import ClientCertificate
from gateway.exchange.handling import FORWARDED, FORWARDED_UNTOUCHED
from gateway.registry.configuration import ConfigurationInvalid, read_directory
from gateway.registry.reach import (
    CALLS_HEADERS,
    CREDENTIAL_KINDS,
    KIND_OF_CREDENTIALS,
    check_reaches,
    read_reach,
)
from policies.reading import Fault
from tests.configured import PACK

MARKER = "SYNTHETIC-hunter2"
KEY = {"kind": "api-key", "header": "X-Api-Key", "secret": "file:key"}
OAUTH = {
    "kind": "oauth",
    "token_url": "https://issuer.example/token",
    "client_id": "concordat",
    "secret": "env:CONCORDAT_SECRET_SPL",
}


def read(**members: Any) -> HttpSettings:
    """Read a document that has no faults."""
    faults: list[Fault] = []
    found = read_reach({"connector": "one", "owner": "ods:X9Z", **members}, faults, ())
    assert faults == []
    return found


def faults_of(**members: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Return where a document's faults are, and their codes."""
    faults: list[Fault] = []
    read_reach({"connector": "one", **members}, faults, ())
    assert not [fault for fault in faults if MARKER in fault.message]
    return [(fault.pointer, fault.code) for fault in faults]


def test_a_plain_service_has_an_address_alone() -> None:
    """What is not said keeps the connector's default."""
    assert read(base_url="https://a.example") == HttpSettings(base_url="https://a.example")
    assert read() == HttpSettings(base_url="")


def test_all_members_are_read() -> None:
    """Each lands where the connector looks for it."""
    found = read(
        base_urls=["https://a.example/x", "https://b.example/x"],
        networks=["10.20.0.0/16", "fd00:1::/48"],
        tls={"authorities": "file:ca.pem", "certificate": "file:c.pem", "key": "file:k.pem"},
        credentials=KEY,
        request_id="required",
    )
    assert found == HttpSettings(
        base_url="https://a.example/x",
        further_urls=("https://b.example/x",),
        networks=("10.20.0.0/16", "fd00:1::/48"),
        ca_file="ca.pem",
        client_certificate=ClientCertificate(
            certificate=SecretReference.parse("file:c.pem"),
            key=SecretReference.parse("file:k.pem"),
        ),
        credentials=ApiKey(header="X-Api-Key", secret=SecretReference.parse("file:key")),
        request_id=RequestIdEcho.REQUIRED,
    )


def test_each_kind_of_credential_is_read() -> None:
    """Their secrets are references."""
    basic = read(credentials={"kind": "basic", "user": "concordat", "secret": "file:spl/password"})
    oauth = read(
        credentials={**OAUTH, "scope": "a b", "authentication": "client_secret_post"}
    ).credentials
    assert basic.credentials == Basic(
        user="concordat", secret=SecretReference.parse("file:spl/password")
    )
    assert oauth == ClientCredentials(
        token_url="https://issuer.example/token",
        client_id="concordat",
        secret=SecretReference.parse("env:CONCORDAT_SECRET_SPL"),
        scope="a b",
        authentication="client_secret_post",
    )


@pytest.mark.parametrize(
    ("members", "pointer", "code"),
    [
        ({"base_url": "https://a.example", "base_urls": ["https://b.example"]},
         ("base_url",), "contradiction"),
        ({"base_urls": []}, ("base_urls",), "malformed"),
        ({"base_urls": [f"https://{n}.example" for n in range(9)]}, ("base_urls",), "malformed"),
        ({"base_urls": "https://a.example"}, ("base_urls",), "wrong-type"),
        ({"base_url": 7}, ("base_url",), "wrong-type"),
        ({"networks": ["10.20.0.1/16"]}, ("networks",), "malformed"),
        ({"networks": ["the office"]}, ("networks",), "malformed"),
        ({"tls": {"authority": "file:ca.pem"}}, ("tls", "authority"), "unknown-key"),
        ({"tls": {"authorities": "/etc/ca.pem"}}, ("tls", "authorities"), "malformed"),
        ({"tls": {"certificate": "file:c.pem"}}, ("tls",), "missing-key"),
        ({"tls": {"certificate": "file:c.pem", "key": "env:CONCORDAT_SECRET_K"}},
         ("tls", "key"), "malformed"),
        ({"credentials": {"kind": "ntlm", "realm": "x"}}, ("credentials", "kind"), "not-one-of"),
        ({"credentials": {"header": "x"}}, ("credentials",), "missing-key"),
        ({"credentials": None}, ("credentials",), "wrong-type"),
        ({"credentials": {**KEY, "secret": MARKER}}, ("credentials", "secret"), "malformed"),
        ({"credentials": {**KEY, "secret": 7}}, ("credentials", "secret"), "wrong-type"),
        ({"credentials": {**KEY, "password": MARKER}}, ("credentials", "password"), "unknown-key"),
        ({"credentials": {**KEY, "header": "Host"}}, ("credentials", "header"), "not-one-of"),
        ({"credentials": {**KEY, "header": "Via"}}, ("credentials", "header"), "not-one-of"),
        ({"credentials": {**KEY, "header": "a b"}}, ("credentials", "header"), "malformed"),
        ({"credentials": {"kind": "basic", "user": "a:b", "secret": "file:p"}},
         ("credentials", "user"), "malformed"),
        ({"credentials": {**OAUTH, "token_url": "issuer/token"}},
         ("credentials", "token_url"), "malformed"),
        ({"credentials": {**OAUTH, "authentication": "none"}},
         ("credentials", "authentication"), "not-one-of"),
        ({"request_id": "never"}, ("request_id",), "not-one-of"),
    ],
)  # fmt: skip
def test_faults_have_their_place(
    members: dict[str, Any], pointer: tuple[str, ...], code: str
) -> None:
    """Every wrong value is found where it stands, and a pasted secret is not repeated."""
    assert (pointer, code) in faults_of(**members)


def test_every_kind_of_credential_has_its_word() -> None:
    """What is read can be named again."""
    assert set(KIND_OF_CREDENTIALS.values()) == set(CREDENTIAL_KINDS)


def test_faults_are_told_by_service() -> None:
    """The position in the list is part of the place."""
    (fault,) = check_reaches([{}, {"networks": ["x"]}])
    assert fault.pointer == ("services", 1, "networks")


def test_a_fault_in_a_file_has_its_line_and_not_its_secret(tmp_path: Path) -> None:
    """`concordat apply` says where, as for any other document."""
    directory = tmp_path / "DIR"
    directory.mkdir()
    for name in ("parties.yaml", "legal"):
        (directory / name).symlink_to(PACK / name)
    services = yaml.safe_load((PACK / "services.yaml").read_text())["services"][:1]
    services[0]["credentials"] = {**KEY, "secret": MARKER}
    text = yaml.safe_dump({"services": services})
    (directory / "services.yaml").write_text(text)
    line = 1 + next(n for n, one in enumerate(text.splitlines()) if MARKER in one)

    with pytest.raises(ConfigurationInvalid) as refused:
        read_directory(directory)
    (fault,) = refused.value.faults
    assert (fault.path.name, fault.line) == ("services.yaml", line)
    assert "file:NAME" in str(fault)
    assert MARKER not in str(refused.value)


def test_no_key_goes_by_the_name_of_a_field_that_calls_have() -> None:
    """Every field that a consumer's request may pass on, and those that the gateway adds."""
    passed_on = {name.decode() for name in FORWARDED | FORWARDED_UNTOUCHED}
    assert passed_on | {"traceparent", "via", "x-request-id"} == CALLS_HEADERS
