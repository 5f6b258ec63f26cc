"""What an agreement asks for that this gateway cannot carry out, told before anybody signs."""

from __future__ import annotations

from collections.abc import Mapping

from policies.agreement import Agreement
from policies.identifiers import IDENTIFIER_KINDS
from policies.reading import Fault, Pointer, nearest
from policies.service import ServiceFacts


def unenforceable(agreement: Agreement, services: Mapping[str, ServiceFacts]) -> list[Fault]:
    """Return every fault of an agreement that is to be enforced in front of `services`."""
    faults: list[Fault] = []

    def note(pointer: Pointer, code: str, message: str) -> None:
        faults.append(Fault(pointer=pointer, code=code, message=message))

    opt_out = agreement.legal.national_data_opt_out
    if opt_out is not None and opt_out.applies:
        message = "this gateway cannot yet leave out people who opted out"
        note(("legal", "national_data_opt_out", "applies"), "not-enforceable", message)
    for number, rule in enumerate(agreement.rules):
        pointer = ("access", "rules", number)
        service = services.get(rule.connector)
        if service is None:
            near = nearest(rule.connector, services)
            message = f"{rule.connector!r} is no service behind this gateway{near}"
            note((*pointer, "connector"), "unknown-reference", message)
            continue
        if rule.dataset is not None and rule.dataset not in service.datasets:
            near = nearest(rule.dataset, service.datasets)
            message = f"{service.connector!r} does not serve {rule.dataset!r}{near}"
            note((*pointer, "dataset"), "unknown-reference", message)
        for obligation in ("redact_restricted_address", "withhold_protected_address"):
            if obligation in rule.obligations and not service.restricted_when:
                message = f"{service.connector!r} does not say how protected people are known"
                note((*pointer, "obligations"), "not-enforceable", f"{obligation}: {message}")
        for name, kind in service.identifiers.items():
            if kind not in IDENTIFIER_KINDS:
                message = f"the service's {name!r} is of a kind that nobody knows: {kind!r}"
                note((*pointer, "connector"), "not-enforceable", message)
    return faults
