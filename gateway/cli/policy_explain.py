"""`concordat policy explain`: why a call is permitted or refused, check by check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Json
from gateway.cli.output import Stop, line, show_json
from gateway.cli.policy_options import (
    Client,
    Instant,
    Organisation,
    Purpose,
    RegistryHome,
    instant_of,
)
from gateway.cli.policy_pack import CallFiles, PackFolder, open_pack, rules_of_pack

if TYPE_CHECKING:
    from gateway.refresh import Rulebook
    from policies.decision import Query
    from policies.explain import Explanation

Pairs = list[str] | None


def explain(
    call_id: Annotated[
        str | None, typer.Argument(metavar="[CALL]", help="A call of the pack, such as S1R1.")
    ] = None,
    *,
    pack: PackFolder = None,
    calls: CallFiles = None,
    home: RegistryHome = None,
    agreement: Annotated[
        str | None, typer.Option("--agreement", metavar="ID", help="The agreement it names.")
    ] = None,
    organisation: Organisation = None,
    client: Client = None,
    purpose: Purpose = None,
    user: Annotated[str | None, typer.Option("--user", help="Who acts; none is a program.")] = None,
    roles: Annotated[Pairs, typer.Option("--role", help="A role; may be repeated.")] = None,
    acr: Annotated[str | None, typer.Option("--acr", help="Sign-in level, such as AAL2.")] = None,
    bound: Annotated[
        bool, typer.Option("--bound/--unbound", help="Whether the token is bound to a key.")
    ] = True,
    method: Annotated[str, typer.Option("--method", help="HTTP method.")] = "GET",
    path: Annotated[str | None, typer.Option("--path", help="Path, without the query.")] = None,
    parameters: Annotated[
        Pairs, typer.Option("--query", metavar="NAME=VALUE", help="Parameter; may be repeated.")
    ] = None,
    context: Annotated[
        Pairs, typer.Option("--context", metavar="NAME=VALUE", help="What the request states.")
    ] = None,
    at: Instant = None,
    as_json: Json = False,
) -> None:
    """Explain a decision in plain English: each check, how it came out, and its clause.

    Name a call of a pack, or describe one: --organisation, --path and what else it has. The call
    is decided as if its token held. Nothing is sent, and nothing is recorded.
    """
    if call_id is not None:
        explained = _of_pack(call_id, pack, calls)
    elif organisation is not None and path is not None:
        from gateway.cli.policy_call import describe
        from gateway.cli.policy_sources import rules_of
        from gateway.clock import SystemClock

        query = describe(
            organisation,
            client=client,
            user=user,
            roles=roles or (),
            acr=acr,
            bound=bound,
            purpose=purpose,
            method=method,
            path=path,
            parameters=_pairs(parameters),
            context=dict(_pairs(context)),
            at=SystemClock().now() if at is None else instant_of(at),
        )
        explained = _explain(rules_of(pack, home), query, agreement)
    else:
        raise Stop("no call is named", mend="concordat policy explain S1R1, or see --help")
    if as_json:
        show_json(explained.as_data())
    else:
        for said in explained.lines:
            line(said)


def _of_pack(call_id: str, pack: Path | None, files: list[Path] | None) -> Explanation:
    from gateway.demo.evaluate import query_of

    opened = open_pack(pack, files)
    call = next((one for one in opened.sheet.calls if one.id == call_id), None)
    if call is None:
        known = ", ".join(one.id for one in opened.sheet.calls)
        raise Stop(f"the pack has no call {call_id}", mend=f"choose one of {known}")
    rules = rules_of_pack(opened)
    return _explain(rules, query_of(call, opened, rules.forms), call.token.agreement)


def _explain(rules: Rulebook, query: Query, agreement: str | None) -> Explanation:
    from policies.compile import Policy
    from policies.decision import PUBLIC
    from policies.examine import examine
    from policies.explain import explain as explained
    from policies.select import refuse, select

    route = rules.routes.match(query.path)
    chosen = select(
        rules.agreements,
        caller=query.caller,
        agreement=None if query.caller.organisation == PUBLIC else agreement,
        service=route.service if route else None,
        method=query.method,
        path=query.path,
        purpose=query.purpose,
    )
    if not isinstance(chosen, Policy):
        return explained(refuse(chosen))
    found = examine(chosen, query, rules.law)
    return explained(found.decision, found.checks)


def _pairs(texts: Pairs) -> tuple[tuple[str, str], ...]:
    found = []
    for text in texts or ():
        name, sign, value = text.partition("=")
        if not sign:
            raise Stop(f"{text} is no NAME=VALUE")
        found.append((name, value))
    return tuple(found)
