"""`concordat audit evidence`: exchanges in one file that proves itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from gateway.cli.audit_export import Personal, Use
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, line, show_json

if TYPE_CHECKING:
    from gateway.settings import Settings


def evidence(
    exchanges: Annotated[
        list[str],
        typer.Argument(metavar="EXCHANGE_ID…", help="As in the Exchange-Id of an answer."),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="New file: pack.pyz or pack.zip.")],
    personal: Personal = False,
    use: Use = "self_monitoring",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put exchanges into one file, with what proves them and a program that checks it.

    Whoever gets the file needs Python alone: python3 FILE. A text in it explains to a lawyer what
    it is. That it was made is recorded in the log first.
    """
    from gateway.audit.access import Use as Declared
    from gateway.audit.entry import EntryInvalid
    from gateway.audit.evidence import evidence_of, write_pack
    from gateway.audit.export import export_record
    from gateway.audit.keys import LogKeys
    from gateway.audit.reader import find_log, shard_name
    from gateway.audit.store import LogUnavailable
    from gateway.cli.audit_log import append, console_reader, use_of
    from gateway.data_plane import log_home, shard_origin

    settings = settings_of(home)
    if out.exists():
        raise Stop(f"{out} is there already", mend="give a new name: --out FILE")
    declared: Declared = use_of(use)
    export = evidence_of(tuple(map(_identifier, exchanges)), personal=personal)
    keys = LogKeys(settings.keys_directory)
    try:
        path = find_log(log_home(settings))
        vkey = keys.signer(shard_origin(settings, shard_name(path))).verifier.vkey()
        position = append(settings, export_record(console_reader(), declared, export))
        documents = _agreements(settings)
        records = write_pack(path, export, keys, out, vkey=vkey, agreements=documents.get)
    except (LogUnavailable, LookupError, OSError) as failure:
        raise Stop(str(failure), mend="give exchanges that are in the log") from None
    except EntryInvalid as damaged:
        mend = f"concordat audit verify --home {settings.home}"
        raise Stop(f"the log is damaged: {damaged}", mend=mend, code=Exit.FAILED) from None
    if as_json:
        show_json({"out": str(out), "records": records, "index": position.index, "vkey": vkey})
        return
    line(f"{out}: {records} records, recorded at index {position.index}")
    line(f"check it with: python3 {out} --vkey {vkey}")


def _identifier(text: str) -> bytes:
    try:
        return UUID(text).bytes
    except ValueError:
        mend = "copy it from the Exchange-Id of the answer"
        raise Stop(f"{text} is not an exchange id", mend=mend) from None


def _agreements(settings: Settings) -> dict[str, Mapping[str, Any]]:
    """Return the documents of the registry's agreements by id, as they stand now."""
    from gateway.cli.configuration import open_registry
    from gateway.registry.documents import Kind

    with open_registry(settings) as registry:
        _, configuration = registry.load()
    return {
        key: document for kind, key, document in configuration.documents() if kind is Kind.AGREEMENT
    }
