"""`concordat policy`: what agreements decide, why, for whom, and what a new version changes."""

from __future__ import annotations

import typer

from gateway.cli.options import Json
from gateway.cli.output import Exit, Stop, show, show_json
from gateway.cli.policy_diff import diff
from gateway.cli.policy_explain import explain
from gateway.cli.policy_pack import CallFiles, PackFolder, open_pack
from gateway.cli.policy_schema import fields, schema
from gateway.cli.policy_who import who

__all__ = ["CallFiles", "PackFolder", "open_pack", "policy"]

policy = typer.Typer(no_args_is_help=True, help="Ask what agreements decide.")

policy.command("explain")(explain)
policy.command("who")(who)
policy.command("diff")(diff)
policy.command("schema")(schema)
policy.command("fields")(fields)


@policy.command("test")
def judge_pack(pack: PackFolder = None, calls: CallFiles = None, as_json: Json = False) -> None:
    """Decide every call of a pack offline and compare decision, status, reason and rule.

    Exit 1 on any difference. What only the running gateway can tell (401s, records, withheld
    answers) is marked "live only"; an authoring attempt that nobody here knows how to make is "not
    yet". Neither counts as passed.
    """
    from gateway.demo.evaluate import evaluate
    from gateway.demo.report import as_json as results_json
    from gateway.demo.report import counts_line, difference_lines, table_of
    from gateway.refresh import SnapshotRefused

    try:
        results = evaluate(open_pack(pack, calls))
    except SnapshotRefused as refused:
        raise Stop("\n".join(refused.faults)) from None
    if as_json:
        show_json(results_json(results))
    else:
        table = table_of(results, title="Policy test, offline")
        show(table, *difference_lines(results), counts_line(results))
    raise typer.Exit(Exit.OK if results.passed else Exit.FAILED)
