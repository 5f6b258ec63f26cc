"""The configuration as plain documents, and the faults that keep files from becoming one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

PlainDocument = Mapping[str, object]
"""A document as JSON knows it: objects, lists, texts, numbers, true, false and null."""


class Kind(StrEnum):
    """The kinds of document that the registry keeps."""

    ORGANISATION = "organisation"
    ISSUER = "issuer"
    SERVICE = "service"
    LAW = "law"
    INSTRUMENT = "instrument"
    AGREEMENT = "agreement"
    FORM = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that is configured, by key.

    Keys are the reference of an organisation, the issuer, the connector, the name of a document of
    the law (`gateway.registry.lawbooks`), the ids of instruments and agreements, and the references
    of requests that are decided case by case (`policies.forms`).
    """

    organisations: Mapping[str, PlainDocument] = field(default_factory=dict)
    issuers: Mapping[str, PlainDocument] = field(default_factory=dict)
    services: Mapping[str, PlainDocument] = field(default_factory=dict)
    law: Mapping[str, PlainDocument] = field(default_factory=dict)
    instruments: Mapping[str, PlainDocument] = field(default_factory=dict)
    agreements: Mapping[str, PlainDocument] = field(default_factory=dict)
    forms: Mapping[str, PlainDocument] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Mapping[Kind, Mapping[str, PlainDocument]]) -> Configuration:
        """Return the configuration that holds `documents`."""
        return cls(
            organisations=documents[Kind.ORGANISATION],
            issuers=documents[Kind.ISSUER],
            services=documents[Kind.SERVICE],
            law=documents[Kind.LAW],
            instruments=documents[Kind.INSTRUMENT],
            agreements=documents[Kind.AGREEMENT],
            forms=documents[Kind.FORM],
        )

    def documents(self) -> Iterator[tuple[Kind, str, PlainDocument]]:
        """Yield every document with its kind and key."""
        for kind, documents in (
            (Kind.ORGANISATION, self.organisations),
            (Kind.ISSUER, self.issuers),
            (Kind.SERVICE, self.services),
            (Kind.LAW, self.law),
            (Kind.INSTRUMENT, self.instruments),
            (Kind.AGREEMENT, self.agreements),
            (Kind.FORM, self.forms),
        ):
            for key in sorted(documents):
                yield kind, key, documents[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """Addresses that only whoever runs a configuration knows: by connector, and by issuer."""

    base_urls: Mapping[str, str] = field(default_factory=dict)
    metadata_urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """One thing wrong with a file; `line` and `column` count from 1."""

    path: Path
    line: int
    column: int
    code: str
    message: str

    def __str__(self) -> str:
        """Return the fault as compilers write theirs, so that editors can jump to it."""
        return f"{self.path}:{self.line}:{self.column}: {self.message} [{self.code}]"


class ConfigurationInvalid(Exception):
    """A directory that cannot be used as it is; `faults` holds every fault of every file."""

    def __init__(self, faults: tuple[FileFault, ...]) -> None:
        """Keep the faults, and tell them one per line."""
        super().__init__("\n".join(map(str, faults)))
        self.faults: Final = faults
