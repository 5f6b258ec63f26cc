"""`concordat audit replay`: recorded decisions made once more, and every difference told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.audit_options import From, Until
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, amount, line, show_json

if TYPE_CHECKING:
    from gateway.replay import Replayed


_RESULT_COLUMNS: Final = 24
"""As wide as the longest result, and one."""


def replay(
    *,
    from_: From = None,
    until: Until = None,
    agreement: Annotated[str | None, typer.Option(help="Agreement id.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Decide recorded requests once more, by the agreements and the law that were in force then.

    Exit 1 where a decision comes out otherwise, with the index of its record and both decisions.
    That you looked is recorded in the log first. What was erased cannot be decided once more.
    """
    from gateway.cli.replaying import difference_data, difference_sentences, replay_range

    differences: list[Mapping[str, Any]] = []

    def tell(one: Replayed) -> None:
        if as_json:
            differences.append(difference_data(one))
            return
        for sentence in difference_sentences(one):
            line(sentence)

    tally = replay_range(
        settings_of(home), from_=from_, until=until, agreement=agreement, tell=tell
    )
    counts = {result.value: count for result, count in sorted(tally.results.items())}
    if as_json:
        show_json({"ok": tally.holds, "decisions": counts, "differences": differences})
    else:
        line(f"{amount(sum(counts.values()), 'decision')} replayed")
        for result, count in counts.items():
            line(f"  {result:{_RESULT_COLUMNS}} {count}")
    raise typer.Exit(Exit.OK if tally.holds else Exit.FAILED)
