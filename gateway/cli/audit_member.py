"""`concordat audit member`: was this person among the people of an answer?"""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.audit_options import Use, person_typed
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, amount, line, show_json


def member(
    exchange_id: Annotated[
        str, typer.Argument(metavar="EXCHANGE_ID", help="As in the Exchange-Id of an answer.")
    ],
    person: Annotated[
        str, typer.Option("--person", help="type:value; - reads it from standard input.")
    ],
    *,
    use: Use = "self_monitoring",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Tell whether somebody was among the people of an answer, with a proof against its record.

    Exit 0 where they were, 1 where they were not, 2 where it cannot be told. What counts is the
    outcome: who was asked about was not among those of an answer without data. The proof leads from
    the identifier to the root of all people, which the record's commitment covers.
    """
    from gateway.audit.people import PersonInvalid, parse_person
    from gateway.audit.search.membership import among_answered
    from gateway.cli.audit_log import show_one

    try:
        sought = parse_person(person_typed(person))
    except PersonInvalid as invalid:
        raise Stop(str(invalid), mend="--person nhs_number:9990000018") from None
    view = show_one(settings_of(home), exchange_id, use=use)
    found, record = among_answered(view, sought)
    if as_json:
        show_json(
            {
                "among": found.among,
                "people_named": found.named,
                "complete": found.complete,
                "root": found.root.hex() if found.root else None,
                "index": found.index,
                "path": [node.hex() for node in found.path],
                "record": record,
            }
        )
    else:
        words = {True: "yes", False: "no", None: "cannot tell"}
        named = amount(found.named, "person", "people")
        line(f"{words[found.among]}: {named} named in record {record['index']}")
        if found.root is not None:
            line(f"root of them all {found.root.hex()}")
        if found.path or found.index is not None:
            line(f"proved at {found.index} by {amount(len(found.path), 'hash', 'hashes')}")
    codes = {True: Exit.OK, False: Exit.FAILED, None: Exit.UNUSABLE}
    raise typer.Exit(codes[found.among])
