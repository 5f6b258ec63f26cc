"""Where the policy commands take agreements from: a pack, a home's registry, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from gateway.cli.configuration import open_registry
from gateway.cli.options import settings_of
from gateway.cli.output import Stop
from gateway.demo.packs import BUILT_IN
from gateway.documents import DocumentUnreadable, load_document
from gateway.refresh import Rulebook, SnapshotRefused, compile_rules
from gateway.registry.configuration import read_directory
from gateway.registry.documents import Configuration, ConfigurationInvalid, Kind
from gateway.registry.store import State
from gateway.settings import Settings
from policies.agreement import Agreement
from policies.document import DocumentInvalid, place, read_agreement

_VERSION_MARK: Final = "@"


def rules_of(pack: Path | None, home: Path | None) -> Rulebook:
    """Return what is in force in `home`, else what `pack` holds, else the built-in pack.

    Raises Stop with everything that is wrong.
    """
    try:
        return compile_rules(configuration_of(pack, home))
    except ConfigurationInvalid as invalid:
        raise Stop("\n".join(map(str, invalid.faults))) from None
    except SnapshotRefused as refused:
        raise Stop("\n".join(refused.faults)) from None


def agreement_named(name: str, home: Path | None) -> Agreement:
    """Return the agreement in the file `name`, or the one that a registry knows as ``ID@VERSION``.

    Raises Stop where there is none, or where it cannot be read.
    """
    path = Path(name)
    if path.is_file():
        return _read_file(path)
    agreement_id, _, version = name.partition(_VERSION_MARK)
    states = _history(settings_of(home), agreement_id)
    for state in states:
        if version in ("", str(state.document.get("version"))):
            return _read(dict(state.document), name)
    known = ", ".join(f"{agreement_id}@{state.document.get('version')}" for state in states)
    mend = f"the registry knows {known}" if known else "name a file, or an agreement as ID@VERSION"
    raise Stop(f"{name} is no file, and no agreement of the registry", mend=mend)


def configuration_of(pack: Path | None, home: Path | None) -> Configuration:
    """Return the present configuration of `home`, else that of `pack`, else the built-in one."""
    if home is None:
        return read_directory(pack or BUILT_IN)
    with open_registry(settings_of(home)) as registry:
        return registry.load()[1]


def _history(settings: Settings, agreement_id: str) -> tuple[State, ...]:
    with open_registry(settings) as registry:
        return registry.history(Kind.AGREEMENT, agreement_id)


def _read_file(path: Path) -> Agreement:
    try:
        document = load_document(path)
    except DocumentUnreadable as unreadable:
        raise Stop(str(unreadable)) from None
    try:
        return read_agreement(document.value)
    except DocumentInvalid as invalid:
        lines = []
        for fault in invalid.faults:
            line, column = document.locate(fault.pointer)
            lines.append(f"{path}:{line}:{column}: {place(fault.pointer)}: {fault.message}")
        raise Stop("\n".join(lines)) from None


def _read(document: dict[str, Any], name: str) -> Agreement:
    try:
        return read_agreement(document)
    except DocumentInvalid as invalid:
        raise Stop(f"{name} cannot be read: {invalid}") from None
