"""`audit note`, as it is typed; what the notes answer is asked end to end."""

from __future__ import annotations

import json

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.clock import new_uuid7, uuid_text
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_an_incident_is_on_record(run: Run, new_home: NewHome) -> None:
    """The step, its time and exchanges in clear; who and the words sealed."""
    home = new_home.settings.home
    exchange = deny_one(new_home.settings)
    said = run(
        "audit", "note", "incident", "INC-1", "--step", "aware", "--at", "2026-01-02",
        "--exchange", exchange, "--text", "SYNTHETIC words", "--home", home,
    ).stdout  # fmt: skip
    shown = run("audit", "show", said.split()[-1], "--json", "--home", home).stdout
    view = json.loads(shown)
    assert (view["note"], view["about"], view["step"]) == ("incident", "INC-1", "aware")
    assert view["exchanges"] == [exchange]
    assert view["sections"]["payload"] == {"text": "SYNTHETIC words"}
    assert "SYNTHETIC" not in json.dumps(view["cores"])
    about = ("audit", "search", "--kind", "admin.change", "--about", exchange, "--json")
    assert len(json.loads(run(*about, "--home", home).stdout)["exchanges"]) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("review", "x", "--outcome", "justified"), "not an id"),
        (("review", uuid_text(new_uuid7()), "--outcome", "justified"), "not in the log"),
        (("acknowledge", "EXCHANGE", "--outcome", "maybe"), "none of them"),
        (("review", "EXCHANGE", "--outcome", "justified"), "no use of urgent access"),
        (("incident", "two words", "--step", "aware"), "reference is letters"),
        (("incident", "INC-1", "--step", "aware", "--at", "2999-01-01"), "in the future"),
        (("disposal", "DSA-9", "--certificate", "C-1"), "no agreement"),
    ],
)
def test_what_cannot_be_noted_is_told(
    run: Run, new_home: NewHome, words: tuple[str, ...], told: str
) -> None:
    """Notes are about what there is, and their forms are strict."""
    exchange = deny_one(new_home.settings)
    with pytest.raises(Stop, match=told):
        run(
            "audit", "note", *(exchange if word == "EXCHANGE" else word for word in words),
            "--home", new_home.settings.home,
        )  # fmt: skip


def test_without_a_log_nothing_is_noted(run: Run, new_home: NewHome) -> None:
    """The line that mends it makes one."""
    with pytest.raises(Stop, match="no audit log") as stopped:
        run(
            "audit", "note", "review", uuid_text(new_uuid7()), "--outcome", "justified",
            "--home", new_home.settings.home,
        )  # fmt: skip
    assert "concordat serve" in stopped.value.mend


def test_a_note_that_is_not_recorded_says_so(run: Run, new_home: NewHome) -> None:
    """In its own words: nobody was reading. Words that are no text are not recorded either."""
    settings = new_home.settings
    deny_one(settings)
    note = ("audit", "note", "incident", "INC-1", "--step", "aware", "--home", settings.home)
    with pytest.raises(Stop, match="what is given cannot be recorded"):
        run(*note, "--text", "\udcff")
    (day_key,) = settings.keys_directory.glob("log-day-*.key")
    day_key.chmod(0o644)
    with pytest.raises(Stop, match=r"the note is not recorded: .* can be read by others"):
        run(*note)
