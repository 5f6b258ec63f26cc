"""Exports of a home's log, and the record that each leaves before its first byte."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gateway.audit.entry import Kind
from gateway.audit.exports.export import ExportFormat
from gateway.audit.exports.selection import Selection, pick
from gateway.audit.reading.reader import find_log, snapshot
from gateway.cli.audit_exports import export_log
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.audit.records import tampered
from tests.gateway.cli.test_audit_log import deny_one


def test_an_export_is_recorded_first(new_home: NewHome, tmp_path: Path) -> None:
    """The log says who exported what, in which form and for which use, with its index."""
    settings = new_home.settings
    deny_one(settings)
    filters = {"reason": "RATE_LIMITED", "kind": "decision.deny", "agreement": None}
    written = export_log(
        settings, filters, ExportFormat.OCSF, tmp_path / "out", use="verify_lawfulness",
        personal=False,
    )  # fmt: skip
    (event,) = (tmp_path / "out").read_bytes().splitlines()
    assert orjson.loads(event)["status_code"] == "RATE_LIMITED"
    with snapshot(find_log(settings.audit_directory)) as db:
        (found,) = pick(db, Selection(kind=Kind.EXPORT), end=1_000)
    core = found.section("core")
    assert core["filters"] == ["kind", "reason"]
    assert (core["format"], core["use"]) == ("ocsf", "verify_lawfulness")
    assert core["personal"] is False
    assert found.index == written["index"]


def test_what_cannot_be_exported_says_why(new_home: NewHome, tmp_path: Path) -> None:
    """Without a log or a checkpoint, onto a file, for no use, of a damaged log."""
    settings, out = new_home.settings, tmp_path / "out"

    def export(
        out: Path, form: ExportFormat = ExportFormat.CSV, use: str = "self_monitoring"
    ) -> None:
        export_log(settings, {}, form, out, use=use, personal=False)

    with pytest.raises(Stop, match="no audit log"):
        export(out)
    deny_one(settings)
    with pytest.raises(Stop, match="no permitted use"):
        export(out, use="curiosity")
    with pytest.raises(Stop, match="no checkpoint"):
        export(out, ExportFormat.NDJSON)
    with pytest.raises(Stop, match="reading cannot be recorded"):
        export_log(
            settings, {"reason": "\udcff"}, ExportFormat.CSV, out, use="self_monitoring",
            personal=False,
        )  # fmt: skip
    export(out)
    with pytest.raises(Stop, match="is there already"):
        export(out)
    with pytest.raises(Stop, match="cannot be written"):
        export(tmp_path / "nowhere" / "out")
    log = find_log(settings.audit_directory)
    tampered(log, "UPDATE audit_record SET sections = x'05' WHERE leaf_index = 1")
    with pytest.raises(Stop, match="damaged") as stopped:
        export(tmp_path / "other")
    assert stopped.value.code == 1
