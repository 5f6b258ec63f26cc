"""`concordat policy who`: who can see what, answered exactly from the agreements in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Json
from gateway.cli.output import line, show_json
from gateway.cli.policy_options import (
    Client,
    Instant,
    Organisation,
    Purpose,
    RegistryHome,
    instant_of,
)
from gateway.cli.policy_pack import PackFolder

if TYPE_CHECKING:
    from policies.reach import Reach


def who(
    *,
    field: Annotated[
        str | None, typer.Option("--field", metavar="NAME", help="Who can read this field?")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Of this dataset only.")
    ] = None,
    organisation: Organisation = None,
    client: Client = None,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", help="What can this role see?")
    ] = None,
    purpose: Purpose = None,
    at: Instant = None,
    pack: PackFolder = None,
    home: RegistryHome = None,
    as_json: Json = False,
) -> None:
    """Say who can see what: everybody who could be let in, and what each must still meet.

    The answer is exact and comes from the agreements, not from what has happened. Name a field, a
    body, a role, a purpose or an instant; what is not named is left open.
    """
    from gateway.cli.policy_sources import rules_of
    from policies.reach import reaches_of
    from policies.who import Question, answer, as_data

    rules = rules_of(pack, home)
    question = Question(
        dataset=dataset,
        field=field,
        organisation=organisation,
        client=client,
        role=role,
        purpose=purpose,
        at=None if at is None else instant_of(at),
    )
    found = answer(reaches_of(rules.agreements, rules.law), question)
    silent = [
        f"{one.agreement_id} is {one.status}" for one in rules.agreements if not one.answering
    ]
    if as_json:
        show_json({"answers": [as_data(reach) for reach in found], "not_answering": silent})
        return
    _tell(found, silent)


def _tell(found: tuple[Reach, ...], silent: list[str]) -> None:
    from policies.who import conditions, sentence

    if not found:
        line("Nobody.")
    for reach in found:
        line(f"{sentence(reach)} [{reach.agreement.id}, rule {reach.rule.id}]")
        for condition in conditions(reach):
            line(f"  - {condition}")
    if silent:
        line(f"These agreements let nobody in now: {'; '.join(silent)}.")
