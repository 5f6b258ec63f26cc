"""Exports a home's audit log for the command, and records in it that it was exported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.audit.entry import EntryInvalid
from gateway.audit.export import (
    Export,
    ExportFormat,
    Told,
    export_record,
    write_file,
    write_parquet_directory,
)
from gateway.audit.keys import LogKeys
from gateway.audit.reader import find_log, shard_name
from gateway.audit.selection import Selection
from gateway.audit.store import LogUnavailable
from gateway.cli.audit_log import append, console_reader, kind_of, use_of
from gateway.cli.output import Exit, Stop
from gateway.data_plane import log_home, shard_origin
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
) -> dict[str, object]:
    """Write an export; return how much of it there is, and the index of the record that says so."""
    asked = {name: value for name, value in filters.items() if value is not None}
    if "kind" in asked:
        asked["kind"] = kind_of(asked["kind"])
    export = Export(selection=Selection(**asked), format=form, personal=personal)
    declared = use_of(use)
    keys = LogKeys(settings.keys_directory)
    if out.exists():
        raise Stop(f"{out} is there already", mend="give a new name: --out FILE")
    try:
        path = find_log(log_home(settings))
        position = append(settings, export_record(console_reader(), declared, export))
        if form is ExportFormat.PARQUET:
            amount = write_parquet_directory(path, export, keys, out, told=told)
        else:
            amount = write_file(path, export, keys, out, told=told)
    except LogUnavailable as failure:
        raise Stop(str(failure), mend="run the gateway: concordat serve") from None
    except EntryInvalid as damaged:
        mend = f"concordat audit verify --home {settings.home}"
        raise Stop(f"the log is damaged: {damaged}", mend=mend, code=Exit.FAILED) from None
    except OSError as failure:
        raise Stop(f"{out} cannot be written: {failure}", mend="give another --out") from None
    written: dict[str, object] = {
        "out": str(out),
        "format": form.value,
        "amount": amount,
        "unit": "rows" if form is ExportFormat.PARQUET else "bytes",
        "index": position.index,
    }
    if form in (ExportFormat.NDJSON, ExportFormat.PARQUET):
        written["vkey"] = keys.signer(shard_origin(settings, shard_name(path))).verifier.vkey()
    return written
