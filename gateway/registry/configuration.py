"""How a directory of YAML files, in the scenario pack's format, becomes a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast

from gateway.documents import Document, DocumentUnreadable, load_document
from gateway.registry.authoring import Examiner
from gateway.registry.crossings import (
    Known,
    check_agreement,
    check_instruments,
    check_reasons,
    check_services,
)
from gateway.registry.documents import (
    Configuration,
    ConfigurationInvalid,
    FileFault,
    Kind,
    Overlay,
    PlainDocument,
)
from gateway.registry.forms import FormsRead, form_files
from gateway.registry.lawbooks import (
    SPECIFIED_PERSONS,
    VOCABULARY,
    product_document,
    product_instruments,
    purposes_of,
    with_product_lists,
)
from gateway.registry.parties import overlay_issuers, read_issuers, read_parties
from gateway.registry.reach import check_reaches
from policies.agreement import Agreement
from policies.compile import compile_policy
from policies.document import read_agreement
from policies.law import read_instruments
from policies.reading import DocumentInvalid, Fault
from policies.service import ServiceFacts, identifier_names, read_services
from policies.statutes import read_specified_persons
from policies.vocabulary import read_vocabulary

__all__ = [
    "Configuration",
    "ConfigurationInvalid",
    "FileFault",
    "Kind",
    "Overlay",
    "PlainDocument",
    "read_directory",
]

PARTIES: Final = Path("parties.yaml")
ISSUERS: Final = Path("issuers.yaml")
SERVICES: Final = Path("services.yaml")
INSTRUMENTS: Final = Path("legal", "instruments.yaml")
LAW: Final = {name: Path("legal", f"{name}.yaml") for name in (VOCABULARY, SPECIFIED_PERSONS)}
"""The law's files; where a directory has none of the name, the product's own stands."""
AGREEMENTS: Final = Path("agreements")

_KNOWN: Final = frozenset({PARTIES, ISSUERS, SERVICES, INSTRUMENTS, *LAW.values()})
_FOLDERS: Final = (Path(), Path("legal"))
_SUFFIXES: Final = (".yaml", ".yml")

T = TypeVar("T")


def read_directory(
    path: Path, *, overlay: Overlay | None = None, authored_at: datetime | None = None
) -> Configuration:
    """Read the known files of a directory; other folders than those of a configuration are left.

    `overlay` fills in addresses that the files leave open. With `authored_at`, an agreement that
    somebody has decided on must pass the authoring rules of that instant, as for `apply`; without
    it, documents are taken as they stand, as where past calls are played again.

    Raises:
        ConfigurationInvalid: with every fault of every file at once.
    """
    directory = _Directory(path)
    configuration = _read(directory, overlay or Overlay(), authored_at)
    if directory.faults:
        raise ConfigurationInvalid(tuple(directory.faults))
    return configuration


class _Directory:
    """Loads the files of one directory and notes their faults with line and column."""

    def __init__(self, root: Path) -> None:
        self.faults: list[FileFault] = []
        self._root = root
        for folder in _FOLDERS:
            for file in sorted(root.joinpath(folder).glob("*")):
                if file.suffix in _SUFFIXES and file.relative_to(root) not in _KNOWN:
                    self._note(file, "file-unknown", "no file of this name is read here")

    def load(self, name: Path) -> Document | None:
        """Return a document of the directory, or None after noting why there is none."""
        file = self._root / name
        try:
            return load_document(file)
        except DocumentUnreadable as unreadable:
            place = unreadable.line, unreadable.column
            self._note(file, "unreadable", unreadable.message, place)
            return None

    def has(self, name: Path) -> bool:
        """Tell whether the directory has a file."""
        return (self._root / name).is_file()

    def agreements(self) -> Iterator[Document]:
        """Yield the agreements' documents in the order of their file names."""
        for file in sorted((self._root / AGREEMENTS).glob("*")):
            if file.suffix in _SUFFIXES:
                document = self.load(file.relative_to(self._root))
                if document is not None:
                    yield document

    def forms(self) -> Iterator[Document]:
        """Yield the documents that hold request and decision forms."""
        for file in form_files(self._root):
            document = self.load(file.relative_to(self._root))
            if document is not None:
                yield document

    def accept(self, document: Document, read: Callable[[Mapping[str, object]], T]) -> T | None:
        """Return what `read` makes of a document, or None after noting its faults."""
        try:
            return read(cast("Mapping[str, object]", document.value))
        except DocumentInvalid as invalid:
            self.note(document, invalid.faults)
            return None

    def note(self, document: Document, faults: Iterable[Fault]) -> None:
        """Note faults of a document at the lines where they stand."""
        for fault in faults:
            place = document.locate(fault.pointer)
            self._note(document.path, fault.code, fault.message, place)

    def _note(self, path: Path, code: str, message: str, place: tuple[int, int] = (1, 1)) -> None:
        line, column = place
        self.faults.append(
            FileFault(path=path, line=line, column=column, code=code, message=message)
        )


def _read(directory: _Directory, overlay: Overlay, authored_at: datetime | None) -> Configuration:
    organisations, issuers = _parties(directory)
    overlay_issuers(issuers, overlay)
    facts, services = _services(directory, frozenset(organisations), overlay)
    law = {name: _law_document(directory, name) for name in LAW}
    purposes = purposes_of(law[VOCABULARY])
    instruments = _instruments(directory, purposes)
    configuration = Configuration(
        organisations=organisations,
        issuers=issuers,
        services=services,
        law=law,
        instruments=instruments,
    )
    known = Known(
        parties=frozenset(organisations), instruments=frozenset(instruments), purposes=purposes
    )
    examine: Callable[[Agreement], Iterable[Fault]] = _unexamined
    if authored_at is not None and not directory.faults:
        examine = partial(Examiner.of(configuration).refusals, at=authored_at)
    agreements = _agreements(directory, known, facts, examine)
    return replace(configuration, agreements=agreements, forms=_forms(directory, facts))


def _law_document(directory: _Directory, name: str) -> PlainDocument:
    """Return a document of the law, checked; the product's where the directory has none."""
    document = directory.load(LAW[name]) if directory.has(LAW[name]) else None
    if document is None:
        return product_document(name)
    if name == SPECIFIED_PERSONS:
        directory.accept(document, read_specified_persons)
        return _plain(document)
    listed = with_product_lists(_plain(document))
    document = replace(document, value=listed)
    directory.accept(document, read_vocabulary)
    directory.note(document, check_reasons(listed["reason_code"]))
    return listed


def _plain(document: Document) -> PlainDocument:
    """Return a document's members; none where it is no object, which its reader has noted."""
    return document.value if isinstance(document.value, Mapping) else {}


def _unexamined(_agreement: Agreement) -> tuple[Fault, ...]:
    """Take an agreement as it stands."""
    return ()


def _parties(
    directory: _Directory,
) -> tuple[dict[str, PlainDocument], dict[str, dict[str, object]]]:
    document = directory.load(PARTIES)
    if document is None:
        return {}, {}
    faults: list[Fault] = []
    organisations, issuers = read_parties(document.value, faults)
    directory.note(document, faults)
    if directory.has(ISSUERS):
        more = directory.load(ISSUERS)
        if more is not None:
            faults = []
            read_issuers(more.value, issuers, faults)
            directory.note(more, faults)
    return organisations, issuers


def _services(
    directory: _Directory, parties: frozenset[str], overlay: Overlay
) -> tuple[dict[str, ServiceFacts], dict[str, PlainDocument]]:
    document = directory.load(SERVICES)
    found = directory.accept(document, read_services) if document else None
    if document is None or found is None:
        return {}, {}
    directory.note(document, check_services(found, parties))
    directory.note(document, check_reaches(_entries(document, "services")))
    facts = {service.connector: service for service in found}
    plain: dict[str, PlainDocument] = {}
    for connector, entry in zip(facts, _entries(document, "services"), strict=True):
        plain[connector] = _reached_at(entry, overlay.base_urls.get(connector))
    return facts, plain


def _reached_at(entry: PlainDocument, base_url: str | None) -> PlainDocument:
    """Return a service's document with the one address that whoever runs it gives, if any."""
    if base_url is None:
        return entry
    kept = {name: value for name, value in entry.items() if name != "base_urls"}
    return {**kept, "base_url": base_url}


def _instruments(directory: _Directory, purposes: frozenset[str]) -> dict[str, PlainDocument]:
    if not directory.has(INSTRUMENTS):
        return product_instruments(purposes)
    document = directory.load(INSTRUMENTS)
    instruments = directory.accept(document, read_instruments) if document else None
    if document is None or instruments is None:
        return {}
    directory.note(document, check_instruments(instruments, purposes))
    plain = _entries(document, "instruments")
    return {one.id: entry for one, entry in zip(instruments, plain, strict=True)}


def _agreements(
    directory: _Directory,
    known: Known,
    services: Mapping[str, ServiceFacts],
    examine: Callable[[Agreement], Iterable[Fault]],
) -> dict[str, PlainDocument]:
    def read(document: Mapping[str, object]) -> Agreement:
        agreement = read_agreement(document)
        compile_policy(agreement, digest="", services=services)  # for its faults alone
        return agreement

    agreements: dict[str, PlainDocument] = {}
    for document in directory.agreements():
        agreement = directory.accept(document, read)
        if agreement is None:
            continue
        unknown = list(check_agreement(agreement, known))
        directory.note(document, unknown or examine(agreement))
        key = agreement.agreement_id
        if key in agreements:
            twice = f"{key!r} is in another file too; a later version replaces it there"
            fault = Fault(pointer=("agreement_id",), code="duplicate", message=twice)
            directory.note(document, [fault])
        agreements[key] = cast("PlainDocument", document.value)
    return agreements


def _forms(directory: _Directory, services: Mapping[str, ServiceFacts]) -> dict[str, PlainDocument]:
    read = FormsRead(identifier_names(services.values()))
    for document in directory.forms():
        directory.note(document, read.add(document))
    return read.documents


def _entries(document: Document, name: str) -> list[PlainDocument]:
    """Return the entries of a list as they stand, once a reader has accepted them."""
    return cast("Mapping[str, list[PlainDocument]]", document.value)[name]
