"""A configuration as a directory again: canonical files that, applied elsewhere, say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from gateway.registry.configuration import AGREEMENTS, INSTRUMENTS, ISSUERS, LAW, PARTIES, SERVICES
from gateway.registry.documents import Configuration, PlainDocument
from gateway.registry.forms import FOLDER, form_list
from gateway.registry.parties import ISSUER_MEMBERS

FORMS: Final = FOLDER / "forms.yaml"
"""Where all request and decision forms are written."""

_COLUMNS: Final = 100


class ExportedFile(NamedTuple):
    """A file of an exported configuration: its path in the directory, and what it holds."""

    path: Path
    content: str


def export(configuration: Configuration) -> Iterator[ExportedFile]:
    """Yield the files from which `read_directory` reads `configuration` again.

    Members are in the order of their names, and comments are gone: the registry keeps values. It
    keeps no secret, so that none can be in the files; services name theirs by reference.
    """
    speaks_for = {
        reference: issuer
        for issuer, document in configuration.issuers.items()
        for reference in _texts(document, "organisations")
    }
    parties = [
        document | ({"issuer": speaks_for[reference]} if reference in speaks_for else {})
        for reference, document in _sorted(configuration.organisations)
    ]
    issuers = [
        {"issuer": issuer, **{name: said[name] for name in ISSUER_MEMBERS if name in said}}
        for issuer, said in _sorted(configuration.issuers)
    ]
    services = [document for _, document in _sorted(configuration.services)]
    instruments = [document for _, document in _sorted(configuration.instruments)]
    yield _file(PARTIES, {"parties": parties})
    yield _file(ISSUERS, {"issuers": issuers})
    yield _file(SERVICES, {"services": services})
    yield _file(INSTRUMENTS, {"instruments": instruments})
    for name, document in _sorted(configuration.law):
        yield _file(LAW[name], document)
    for key, document in _sorted(configuration.agreements):
        yield _file(AGREEMENTS / f"{key}.yaml", document)
    forms = form_list(configuration.forms)
    if forms:
        yield _file(FORMS, forms)


def _sorted(documents: Mapping[str, PlainDocument]) -> list[tuple[str, dict[str, object]]]:
    return [(key, dict(documents[key])) for key in sorted(documents)]


def _texts(document: PlainDocument, name: str) -> list[str]:
    found = document.get(name)
    return [str(one) for one in found] if isinstance(found, list) else []


class _Writer(yaml.SafeDumper):
    """Writes every value out, and every text so that it is read as it was."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Write what stands in two places twice: the reader takes no anchors."""
        return True


def _represent_text(writer: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Only between double quotes are line breaks of every kind, and what nobody sees, written out.
    return writer.represent_scalar(_TEXT, text, style=None if text.isprintable() else '"')


_TEXT: Final = "tag:yaml.org,2002:str"
_Writer.add_representer(str, _represent_text)


def text_of(document: PlainDocument | list[PlainDocument]) -> str:
    """Return a document as the text of a YAML file that `load_document` reads as it was."""
    return yaml.dump(document, Dumper=_Writer, sort_keys=True, allow_unicode=True, width=_COLUMNS)


def _file(path: Path, document: PlainDocument | list[PlainDocument]) -> ExportedFile:
    return ExportedFile(path, text_of(document))
