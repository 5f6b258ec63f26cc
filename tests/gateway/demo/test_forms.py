"""Request and decision records of a pack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.demo.forms import read_forms
from gateway.demo.packs import BUILT_IN
from gateway.demo.scenario import PackInvalid


def test_the_pack_s_forms_are_read_with_what_was_decided() -> None:
    """One request was granted in part, for one address; the other was refused."""
    forms = read_forms(BUILT_IN / "data", ["uprn", "nhs_number"])

    granted, refused = forms["LER-2026-0001"], forms["LER-2026-0002"]
    assert granted.approved
    assert granted.subject == {"uprn": "999000000501"}
    assert "vehicle_registration" not in granted.fields_released
    assert not refused.approved
    assert refused.subject == {}


def test_only_a_decided_request_gives_a_form(tmp_path: Path) -> None:
    """A request that waits for its decision is no ground to share, nor a decision about nothing."""
    alone = [{"form": "request", "request_ref": "A"}, {"form": "decision", "request_ref": "B"}]
    (tmp_path / "forms.json").write_text(json.dumps(alone))

    assert read_forms(tmp_path, ["uprn"]) == {}


@pytest.mark.parametrize("form", [{"form": "request"}, {"form": "decision", "decision": "share"}])
def test_a_form_without_its_reference_is_refused(tmp_path: Path, form: dict[str, str]) -> None:
    """It is told which file it stands in."""
    (tmp_path / "forms.json").write_text(json.dumps([form]))

    with pytest.raises(PackInvalid, match=r"forms\.json"):
        read_forms(tmp_path, ["uprn"])
