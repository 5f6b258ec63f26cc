"""Call sheets are read strictly."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.demo.call_sheet import read_calls
from gateway.demo.packs import BUILT_IN
from gateway.demo.scenario import PackInvalid, ProofKind, ScenarioCall

SHEET = """
scenario: 9
agreement: DSA-2026-0009
defaults: {{org: "gss:E06999001", client: app, issuer: "https://idp.example", sub: "u:1",
  roles: [clerk], acr: AAL2, purpose: HELP, sender_constrained: true, context: {{case: "7"}}}}
calls:
  - {{id: one, at: "2026-11-20T21:00:00+01:00", method: GET, path: /a,
     expect: {{decision: permit, status: 200, reason: OK}}{more}}}
"""


def _read(folder: Path, more: str = "", *, text: str | None = None) -> ScenarioCall:
    path = folder / "sheet.yaml"
    path.write_text(text if text is not None else SHEET.format(more=more))
    return read_calls(folder, [path]).calls[0]


def test_defaults_fill_what_a_call_leaves_open(tmp_path: Path) -> None:
    """A call has the file's agreement and the defaults, at its own instant in UTC."""
    call = _read(tmp_path)
    assert call.at == datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
    assert call.token.agreement == "DSA-2026-0009"
    assert call.token.roles == ("clerk",)
    assert call.token.context == {"case": "7"}
    assert call.token.bound
    assert call.proof is ProofKind.GOOD


def test_a_call_says_otherwise_than_the_defaults(tmp_path: Path) -> None:
    """What a call states wins, null included."""
    call = _read(
        tmp_path,
        ", purpose: null, agreement: null, sub: null, context: {}, proof: other_key, "
        "query: {_fields: 'a,b', x: [1, 2]}, sender_constrained: false",
    )
    assert (call.token.purpose, call.token.agreement, call.token.subject) == (None, None, None)
    assert call.token.context == {}
    assert not call.token.bound
    assert call.proof is ProofKind.OTHER_KEY
    assert call.query == (("_fields", "a,b"), ("x", "1"), ("x", "2"))


def test_a_batch_size_is_not_a_body(tmp_path: Path) -> None:
    """A body that only states a size is a number of rows; any other is sent as it is."""
    assert _read(tmp_path, ", body: {batch_size: 5}").batch_rows == 5
    assert _read(tmp_path, ", body: {batch_size: 5, x: 1}").body == {"batch_size": 5, "x": 1}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", colour: red", "unknown word colour"),
        (", proof: forged", "proof is none"),
        (", roles: clerk", "roles must be a list"),
        (", sub: 7", "sub must be a text"),
        (", decision_already_used: 1", "must be true or false"),
        (", break_glass: {reason: R}", "justification is missing"),
        (", audit: {colour: red}", "unknown word colour"),
        (", body: {batch_size: -1}", "batch_size is 0 to 99999, not -1"),
        (", body: {batch_size: 100000000}", "batch_size is 0 to 99999, not 100000000"),
        (", break_glass: {reason: R, justification: J, subjects_so_far: -1}", "is 0 to 100000"),
    ],
)
def test_says_what_is_wrong_and_where(tmp_path: Path, more: str, said: str) -> None:
    """A word that is unknown, or not of its kind, is refused with its file, line and call."""
    with pytest.raises(PackInvalid, match=said) as refused:
        _read(tmp_path, more)
    assert str(refused.value).startswith(f"{tmp_path / 'sheet.yaml'}:7:5: ")


def test_an_instant_needs_its_offset(tmp_path: Path) -> None:
    """A time without an offset could mean two instants, so it is refused."""
    text = SHEET.format(more="").replace("+01:00", "")
    with pytest.raises(PackInvalid, match="has no offset"):
        _read(tmp_path, text=text)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_is_one_in_utc(tmp_path: Path, at: str) -> None:
    """An offset can lead out of the years that there are."""
    with pytest.raises(PackInvalid, match="is before the year 1 or after 9999"):
        _read(tmp_path, text=SHEET.format(more="").replace("2026-11-20T21:00:00+01:00", at))


def test_a_name_may_be_a_number(tmp_path: Path) -> None:
    """YAML takes 7 for a number; as the name of a call it is a text."""
    assert _read(tmp_path, text=SHEET.format(more="").replace("id: one", "id: 7")).id == "7"


@pytest.mark.parametrize("text", ["scenario: 1\ncalls: []\n", "scenario: 1\n", "{}\n"])
def test_a_sheet_without_calls_tells_nothing(tmp_path: Path, text: str) -> None:
    """Nothing to play is neither passed nor failed."""
    with pytest.raises(PackInvalid, match="neither calls nor authoring_refusals"):
        _read(tmp_path, text=text)


def test_a_pack_without_calls_is_no_pack(tmp_path: Path) -> None:
    """Nothing to play is an error, not a success."""
    with pytest.raises(PackInvalid, match="holds no calls"):
        read_calls(tmp_path)


def test_files_of_either_suffix_are_read(tmp_path: Path) -> None:
    """No calls are skipped for how their file's name ends."""
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "b.yml").write_text(SHEET.format(more=", title: second"))
    (tmp_path / "calls" / "a.yaml").write_text(SHEET.format(more=", title: first"))
    (tmp_path / "calls" / "README.md").write_text("# Calls")
    assert [call.title for call in read_calls(tmp_path).calls] == ["first", "second"]


def test_reads_the_built_in_calls_in_order() -> None:
    """The built-in pack has its calls and authoring attempts, in the order of its files."""
    sheet = read_calls(BUILT_IN)
    ids = [call.id for call in sheet.calls]
    assert len(ids) == len(set(ids)) == 43
    assert len(sheet.authoring_refusals) == 4
