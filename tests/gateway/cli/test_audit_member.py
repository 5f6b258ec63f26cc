"""`audit member`, as it is typed; proofs are asked end to end."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.audit.entry import Kind
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.clock import new_uuid7, uuid_text
from gateway.data_plane import open_audit_log
from gateway.exchange.duties.named_people import name_people
from gateway.exchange.records import _base64url
from gateway.settings import Settings
from tests.gateway.audit.records import record
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one

Sections = dict[str, dict[str, object]]


def test_of_an_answer_without_people_it_cannot_be_told(
    run: Run, new_home: NewHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, in words and in JSON."""
    home, exchange = new_home.settings.home, deny_one(new_home.settings)
    words = ("audit", "member", exchange, "--person", "nhs_number:9990000018", "--home", home)
    ended = run(*words)
    assert (ended.exit_code, ended.stdout) == (2, "cannot tell: 0 people named in record 1\n")
    assert json.loads(run(*words, "--json").stdout)["among"] is None


def end_one(settings: Settings, intent: Sections, *later: tuple[Kind, Sections]) -> str:
    """Record an exchange whose first record names somebody; return its identifier."""
    exchange = new_uuid7()

    async def append() -> None:
        log = open_audit_log(settings, instance="test")
        await log.start()
        for kind, sections in ((Kind.INTENT, intent), *later):
            await log.append(record(kind, exchange, **sections))
        await log.stop()

    asyncio.run(append())
    return uuid_text(exchange)


def test_who_was_asked_about_is_not_yet_in_the_answer(run: Run, new_home: NewHome) -> None:
    """The intent names whom the request was for; only an outcome says who was in the answer."""
    settings, person = new_home.settings, "9990000018"
    subject: dict[str, object] = {"type": "nhs_number", "ids": [person]}
    asked: Sections = {"core": {"decision": "permit"}, "subject": subject}
    nobody = name_people(frozenset({"9990000026"}))
    answered = {**subject, "ids": list(nobody.ids), "root": _base64url(nobody.root).decode()}
    missing: Sections = {"core": {"status": 404, "problem": "service-error"}}
    other: Sections = {"core": {"status": 200}, "subject": answered}
    unknown: Sections = {"core": {"status": 200}}

    for later, code, said in (
        ([(Kind.OUTCOME, missing)], 1, "no: 0 people named in record 2"),
        ([(Kind.OUTCOME, other)], 1, "no: 1 person named in record 5"),
        ([(Kind.OUTCOME, unknown)], 2, "cannot tell: 0 people named in record 8"),
        ([(Kind.PROGRESS, unknown)], 2, "cannot tell: 0 people named in record 10"),
    ):
        exchange = end_one(settings, asked, *later)
        words = ("audit", "member", exchange, "--person", f"nhs_number:{person}")
        ended = run(*words, "--home", settings.home)
        assert (ended.exit_code, ended.stdout.splitlines()[0]) == (code, said)


def test_a_person_that_is_none_is_told(run: Run, new_home: NewHome) -> None:
    """Before anything is read."""
    exchange = deny_one(new_home.settings)
    with pytest.raises(Stop, match="type:value"):
        run("audit", "member", exchange, "--person", "9990000018", "--home", new_home.settings.home)


def test_the_person_may_come_by_standard_input(new_home: NewHome) -> None:
    """So that no shell keeps it."""
    from typer.testing import CliRunner

    from gateway.cli import app

    exchange = deny_one(new_home.settings)
    words = ["audit", "member", exchange, "--person", "-", "--home", str(new_home.settings.home)]
    ended = CliRunner().invoke(app, words, input="nhs_number:9990000018\n")
    assert ended.exit_code == 2
    assert ended.stdout.startswith("cannot tell")
