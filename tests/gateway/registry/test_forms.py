"""Request and decision forms in a directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.registry.configuration import ConfigurationInvalid, read_directory
from gateway.registry.documents import Kind
from gateway.registry.forms import form_files
from gateway.registry.store import Registry
from tests.configured import PACK

WAITING = {"form": "request", "request_ref": "A", "requesting_organisation": "B"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a copy of the built-in pack that may be changed."""
    return Path(shutil.copytree(PACK, tmp_path / "pack"))


def test_a_pack_s_forms_are_found_among_its_data() -> None:
    """Sample records of services beside them are left alone."""
    assert [path.name for path in form_files(PACK)] == ["s5-request-and-decision-forms.json"]


def test_each_request_is_kept_with_its_decision() -> None:
    """One document for each reference holds both forms whole."""
    forms = read_directory(PACK).forms

    assert set(forms) == {"LER-2026-0001", "LER-2026-0002"}
    granted = forms["LER-2026-0001"]
    assert granted["decision"]["dpo_advice"] == "favourable"  # type: ignore[index]  # a plain document


def test_the_registry_keeps_forms_like_any_document(registry_engine: Engine) -> None:
    """What was decided at any revision can be shown; a form that is gone is no longer present."""
    registry = Registry(registry_engine)
    configuration = read_directory(PACK)
    registry.apply(configuration, by="test")

    assert registry.load()[1].forms == configuration.forms
    assert len(registry.history(Kind.FORM, "LER-2026-0001")) == 1


def test_a_folder_of_its_own_holds_them_too(directory: Path) -> None:
    """An owner's directory keeps forms in `forms`, in YAML or JSON."""
    (directory / "forms").mkdir()
    form = "- form: request\n  request_ref: R-9\n  requesting_organisation: ods:X9Z\n"
    (directory / "forms" / "mine.yaml").write_text(form)

    assert "R-9" in read_directory(directory).forms


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"form": "request"}, "wrong-type"),
        ([{"form": "verdict"}], "not-one-of"),
        ([{"form": "request"}], "missing-key"),
        (
            [{"form": "request", "request_ref": "A", "requesting_organisation": "B"}] * 2,
            "duplicate",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(directory: Path, content: object, code: str) -> None:
    """A file of forms is read strictly."""
    (directory / "forms").mkdir()
    file = directory / "forms" / "mine.json"
    file.write_text(json.dumps(content))

    with pytest.raises(ConfigurationInvalid) as refused:
        read_directory(directory)

    assert {(fault.path, fault.code) for fault in refused.value.faults} >= {(file, code)}


def test_other_data_is_nobody_s_form(directory: Path) -> None:
    """Broken JSON, other lists and large files among sample records are a service's own."""
    (directory / "data" / "broken.json").write_text("{")
    (directory / "data" / "list.json").write_text('[{"form": "other"}, 1]')

    assert len(read_directory(directory).forms) == 2
