"""`concordat audit evidence`: exchanges in one file that proves itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.audit_export import Personal, keys_given
from gateway.cli.audit_options import Use, identifier
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, amount, line, show_json

if TYPE_CHECKING:
    from gateway.registry.store import Registry


def evidence(
    exchanges: Annotated[
        list[str],
        typer.Argument(metavar="EXCHANGE_ID", help="As in the Exchange-Id of an answer."),
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
    from gateway.audit.entry import EntryInvalid
    from gateway.audit.exports.evidence import evidence_of, write_pack
    from gateway.audit.exports.export import export_record
    from gateway.audit.keys.log_keys import LogKeys
    from gateway.audit.reading.reader import find_log
    from gateway.audit.search.access import Use as Declared
    from gateway.audit.store import LogUnavailable
    from gateway.cli.audit_log import append, console_reader, use_of
    from gateway.cli.configuration import open_registry
    from gateway.data_plane import log_home

    settings = settings_of(home)
    if out.exists():
        raise Stop(f"{out} is there already", mend="give a new name: --out FILE")
    declared: Declared = use_of(use)
    export = evidence_of(tuple(map(identifier, exchanges)), personal=personal)
    keys, shards = LogKeys(settings.keys_directory), log_home(settings)
    try:
        find_log(shards)
        position = append(settings, export_record(console_reader(), declared, export))
        with open_registry(settings) as registry:
            packed = write_pack(shards, export, keys, out, agreements=partial(_text, registry))
    except (LogUnavailable, LookupError, OSError) as failure:
        raise Stop(str(failure), mend="give exchanges that are in the log") from None
    except EntryInvalid as damaged:
        mend = f"concordat audit verify --home {settings.home}"
        raise Stop(f"the log is damaged: {damaged}", mend=mend, code=Exit.FAILED) from None
    given = keys_given(packed.vkeys)
    if as_json:
        show_json(
            {
                "out": str(out), "records": packed.records, "index": position.index,
                "vkey": packed.vkeys[-1], "vkeys": packed.vkeys,
            }
        )  # fmt: skip
        return
    line(f"{out}: {amount(packed.records, 'record')}, recorded at index {position.index}")
    line(f"check it with: python3 {out} {given}")


def _text(registry: Registry, agreement: str, wanted: str) -> bytes | None:
    """Return the text of an agreement with a digest, of all that it ever had; None without one."""
    from gateway.registry.documents import Kind
    from policies.document import canonical_bytes, digest

    for state in registry.history(Kind.AGREEMENT, agreement):
        text = dict(state.document)
        if digest(text) == wanted:
            return canonical_bytes(text)
    return None
