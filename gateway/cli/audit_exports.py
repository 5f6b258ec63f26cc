"""Exports a home's audit log for the command, and records in it that it was exported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.audit.entry import EntryInvalid
from gateway.audit.exports.export import (
    PROVED,
    Export,
    ExportFormat,
    export_parts,
    export_record,
    write_file,
    write_parquet_directory,
)
from gateway.audit.exports.parts import Told
from gateway.audit.exports.selection import Selection
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.audit.store import LogUnavailable
from gateway.cli.audit_log import append, console_reader, kind_of, use_of
from gateway.cli.output import Exit, Stop
from gateway.data_plane import log_home
from gateway.settings import Settings


def export_log(
    settings: Settings,
    filters: Mapping[str, Any],
    form: ExportFormat,
    out: Path,
    *,
    use: str,
    personal: bool,
    told: Told | None = None,
) -> dict[str, Any]:
    """Write an export; return how much of it there is, and the index of the record that says so."""
    asked = {name: value for name, value in filters.items() if value is not None}
    if "kind" in asked:
        asked["kind"] = kind_of(asked["kind"])
    export = Export(selection=Selection(**asked), format=form, personal=personal)
    declared = use_of(use)
    keys, shards = LogKeys(settings.keys_directory), log_home(settings)
    if out.exists():
        raise Stop(f"{out} is there already", mend="give a new name: --out FILE")
    try:
        find_log(shards)
        position = append(settings, export_record(console_reader(), declared, export))
        write = write_parquet_directory if form is ExportFormat.PARQUET else write_file
        amount, parts = write(export_parts(shards, export), export, keys, out, told=told)
        vkeys = [part.vkey for part in parts]
    except LogUnavailable as failure:
        raise Stop(str(failure), mend="run the gateway: concordat serve") from None
    except EntryInvalid as damaged:
        mend = f"concordat audit verify --home {settings.home}"
        raise Stop(f"the log is damaged: {damaged}", mend=mend, code=Exit.FAILED) from None
    except OSError as failure:
        raise Stop(f"{out} cannot be written: {failure}", mend="give another --out") from None
    written: dict[str, Any] = {
        "out": str(out),
        "format": form.value,
        "amount": amount,
        "unit": "rows" if form is ExportFormat.PARQUET else "bytes",
        "index": position.index,
    }
    return {**written, "vkey": vkeys[-1], "vkeys": vkeys} if form in PROVED else written
