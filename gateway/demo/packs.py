"""A scenario pack as a whole: its configuration, departments and calls, and what joins them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from gateway.demo.answers import DEFAULT_RECORDS_AT
from gateway.demo.call_sheet import read_calls
from gateway.demo.departments import SERVICES_FILE, DepartmentOperation, read_department
from gateway.demo.scenario import CallSheet, PackInvalid, ScenarioCall
from gateway.registry.configuration import read_directory
from gateway.registry.documents import Configuration, Overlay
from policies.paths import Template

BUILT_IN: Final = Path(__file__).parent / "pack"
"""The pack that ships with the demo."""

_TEST_RANGE: Final = 999_000_000
_ROW_STEP: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the demo needs to know of an agreement's rule."""

    agreement: str
    id: str
    connector: str
    methods: tuple[str, ...]
    path: str
    obligations: frozenset[str]
    body_fields: tuple[str, ...]
    counted_by_day: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack read from `directory`; `configuration` is what ``concordat apply`` would read."""

    directory: Path
    configuration: Configuration
    rules: tuple[Rule, ...]
    operations: tuple[DepartmentOperation, ...]
    sheet: CallSheet

    @property
    def issuers(self) -> tuple[str, ...]:
        """Every issuer that a party or a call names, trusted or not."""
        issuers = [call.token.issuer for call in self.sheet.calls]
        named = [issuer for issuer in issuers if issuer is not None]
        return tuple(dict.fromkeys([*self.configuration.issuers, *named]))

    @property
    def clients(self) -> tuple[str, ...]:
        """Every client that an agreement or a call names."""
        agreed = [client for seat in seats(self.configuration) for client in seat.clients]
        clients = [call.token.client for call in self.sheet.calls]
        named = [client for client in clients if client is not None]
        return tuple(dict.fromkeys([*agreed, *named]))

    def rule_of(self, call: ScenarioCall) -> Rule | None:
        """Return the rule of the call's agreement for its path and method, if there is one."""
        return next(self.rules_of(call), None)

    def rules_of(self, call: ScenarioCall) -> Iterator[Rule]:
        """Yield each rule for the call's path and method; of any agreement if it names none."""
        method = "GET" if call.method == "HEAD" else call.method  # policies.compile: GET governs it
        for rule in self.rules:
            agreed = call.token.agreement in (None, rule.agreement)
            if agreed and method in rule.methods and _matches(rule.path, call.path):
                yield rule

    def operation_of(self, call: ScenarioCall) -> DepartmentOperation | None:
        """Return the department's operation that would answer the call, if there is one."""
        for operation in self.operations:
            if operation.method == call.method and _matches(operation.path, call.path):
                return operation
        return None

    def connector_of(self, path: str) -> str:
        """Return the connector whose paths are nearest to `path`: whom a caller would ask.

        A caller who asks for something that nobody serves still holds a token for the service it
        believes to be there; that is the one with the longest path in common.
        """
        served = [(rule.path, rule.connector) for rule in self.rules]
        served += [(operation.path, operation.connector) for operation in self.operations]
        for template, connector in served:
            if _matches(template, path):
                return connector
        return max(served, key=lambda one: _shared_segments(one[0], path))[1]

    def records_at(self, connector: str) -> str:
        """Return the JSON pointer at which answers of `connector` hold their records."""
        service = self.configuration.services.get(connector, {})
        return str(service.get("records_at", DEFAULT_RECORDS_AT))

    def body_of(self, call: ScenarioCall) -> Mapping[str, object] | None:
        """Return the JSON body of the call, made-up rows for a batch that only states its size."""
        if call.batch_rows is None:
            return call.body
        service: Any = self.configuration.services.get(self.connector_of(call.path), {})
        kinds: Mapping[str, str] = service.get("identifiers", {})
        rule = self.rule_of(call)
        fields = rule.body_fields if rule and rule.body_fields else tuple(kinds)
        return {
            "batch": [
                {name: _made_up(name, kinds.get(name), row) for name in fields}
                for row in range(call.batch_rows)
            ]
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One party of one agreement: who may call, and for what."""

    agreement: str
    organisation: str
    clients: tuple[str, ...]
    purposes: tuple[str, ...]
    connectors: tuple[str, ...]
    bound: bool


def seats(configuration: Configuration) -> Iterator[Seat]:
    """Yield every party of every agreement."""
    for agreement_id, document in configuration.agreements.items():
        agreement: Any = document  # the registry's reader has checked its shape
        rules = agreement["access"]["rules"]
        for party in agreement["parties"]:
            own = [rule for rule in rules if rule["party"] == party["ref"]]
            yield Seat(
                agreement=agreement_id,
                organisation=party["ref"],
                clients=tuple(party.get("clients", ())),
                purposes=tuple(dict.fromkeys(p for rule in own for p in rule["purposes"])),
                connectors=tuple(dict.fromkeys(rule["connector"] for rule in own)),
                bound=agreement["security"].get("sender_constrained_tokens", False),
            )


def read_pack(
    directory: Path, files: Sequence[Path] = (), *, overlay: Overlay | None = None
) -> Pack:
    """Read the pack at `directory`, with the calls of `files` in place of its own if there are any.

    Raises:
        PackInvalid: the calls or the departments cannot be read.
        gateway.registry.configuration.ConfigurationInvalid: the configuration is not valid.
    """
    configuration = read_directory(directory, overlay=overlay)
    if not configuration.services:
        raise PackInvalid(f"{directory / SERVICES_FILE}: no services, so nothing can be asked for")
    rules, operations = tuple(_rules(configuration)), read_department(directory)
    if not rules and not operations:
        where = directory / SERVICES_FILE
        raise PackInvalid(f"{where}: neither a department nor an agreement has a path to ask for")
    return Pack(
        directory=directory,
        configuration=configuration,
        rules=rules,
        operations=operations,
        sheet=read_calls(directory, files),
    )


def _rules(configuration: Configuration) -> Iterator[Rule]:
    for agreement_id, document in configuration.agreements.items():
        agreement: Any = document  # the registry's reader has checked its shape
        for rule in agreement["access"]["rules"]:
            yield Rule(
                agreement=agreement_id,
                id=rule["id"],
                connector=rule["connector"],
                methods=tuple(rule["methods"]),
                path=rule["path"],
                obligations=frozenset(rule.get("obligations", ())),
                body_fields=tuple(rule.get("body_fields_allowed", ())),
                counted_by_day=any(name.endswith("_per_day") for name in rule.get("limits", {})),
            )


def segments_of(path: str) -> tuple[str, ...]:
    """Return the decoded segments of a path."""
    return tuple(unquote(segment) for segment in path.split("/")[1:])


def _matches(template: str, path: str) -> bool:
    return Template.parse(template).match(segments_of(path)) is not None


def _shared_segments(template: str, path: str) -> int:
    shared = 0
    for ours, theirs in zip(template.split("/"), path.split("/"), strict=False):
        if ours != theirs and not ours.startswith("{"):
            break
        shared += 1
    return shared


def _made_up(name: str, kind: str | None, row: int) -> str:
    """Return a valid, invented value for field `name` of row `row`; `kind` is its identifier's."""
    match kind:
        case "nhs_number":
            return _nhs_number(row)
        case "uprn":
            return f"{_TEST_RANGE * 1000 + row}"
        case "nino":
            return f"QQ{row % 1_000_000:06d}A"
        case "gss":
            return "E06999001"
        case _:
            return "1970-01-01" if "date" in name else "Specimen"


def _nhs_number(row: int) -> str:
    """Return number `row` of the test range whose check digit exists (NHS Data Dictionary)."""
    for body in range(_TEST_RANGE + row * _ROW_STEP, _TEST_RANGE + (row + 1) * _ROW_STEP):
        weighted = sum(int(digit) * (10 - at) for at, digit in enumerate(str(body)))
        check = (11 - weighted % 11) % 11
        if check < 10:
            return f"{body}{check}"
    raise AssertionError("ten numbers in a row cannot all lack a check digit")
