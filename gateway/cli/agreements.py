"""Reads and judges agreements for `concordat agreement`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from gateway.cli.configuration import open_registry
from gateway.cli.output import Stop
from gateway.clock import SystemClock
from gateway.documents import DocumentUnreadable, load_document
from gateway.registry.authoring import Examiner, sentence
from gateway.registry.crossings import Known, check_agreement
from gateway.registry.documents import Configuration, FileFault, Kind
from gateway.registry.export import text_of
from gateway.registry.lawbooks import VOCABULARY, purposes_of, with_product_lists
from gateway.registry.store import StopKind
from gateway.settings import Settings
from policies.compile import compile_policy
from policies.document import read_agreement
from policies.reading import DocumentInvalid, Fault, nearest
from policies.service import ServiceFacts, read_services


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Return the agreements of the present configuration, in the order of their ids."""
    with open_registry(settings) as registry:
        states, stops = registry.present(Kind.AGREEMENT), registry.stops()
    return [
        {
            "agreement_id": document["agreement_id"],
            "version": document["version"],
            "title": document["title"],
            "status": document["status"],
            "stopped": (StopKind.AGREEMENT, document["agreement_id"]) in stops,
        }
        for document in (cast("Mapping[str, Any]", state.document) for state in states)
    ]


def shown(settings: Settings, agreement_id: str) -> dict[str, Any]:
    """Return one agreement with all of its states; raises Stop where there never was one."""
    with open_registry(settings) as registry:
        history = registry.history(Kind.AGREEMENT, agreement_id)
        stops = registry.stops()
        known = registry.newest(Kind.AGREEMENT)
    if not history:
        message = f"there is no agreement {agreement_id!r}{nearest(agreement_id, known)}"
        raise Stop(message, mend="concordat agreement list")
    return {
        "agreement_id": agreement_id,
        "present": history[0].until is None,
        "stopped": (StopKind.AGREEMENT, agreement_id) in stops,
        "document": dict(history[0].document),
        "history": [
            {
                "version": state.document["version"],
                "digest": state.digest,
                "since_revision": state.since,
                "until_revision": state.until,
            }
            for state in history
        ],
    }


def written(document: Mapping[str, object]) -> str:
    """Return a document as its file would read."""
    return text_of(document).rstrip("\n")


def faults_of(path: Path, configuration: Configuration) -> Iterator[FileFault]:
    """Yield everything that is wrong with the agreement in `path`, beside what `configuration` has.

    A draft is held against the law as if it were to be signed today.
    """
    try:
        document = load_document(path)
    except DocumentUnreadable as bad:
        yield FileFault(
            path=path, line=bad.line, column=bad.column, code="unreadable", message=bad.message
        )
        return
    for fault in _faults(document.value, configuration):
        line, column = document.locate(fault.pointer)
        yield FileFault(path=path, line=line, column=column, code=fault.code, message=fault.message)


def _faults(value: object, configuration: Configuration) -> Iterator[Fault]:
    try:
        agreement = read_agreement(value)
        compile_policy(agreement, digest="", services=_services(configuration))
    except DocumentInvalid as invalid:
        yield from invalid.faults
        return
    purposes = purposes_of(with_product_lists(configuration.law.get(VOCABULARY, {})))
    known = Known(
        parties=configuration.organisations,
        instruments=configuration.instruments,
        purposes=purposes,
    )
    unknown = tuple(check_agreement(agreement, known))
    yield from unknown
    if unknown:
        return
    for found in Examiner.of(configuration).examine(agreement, SystemClock().now()):
        yield Fault(pointer=found.pointer, code=found.code, message=sentence(found))


def _services(configuration: Configuration) -> dict[str, ServiceFacts]:
    found = read_services({"services": list(configuration.services.values())})
    return {facts.connector: facts for facts in found}
