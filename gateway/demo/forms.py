"""The request and decision records of a pack: what was asked, what was decided, case by case."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gateway.demo.scenario import PackInvalid
from policies.decision import DecisionForm

DO_NOT_SHARE: Final = "do_not_share"
"""The decision of a form that releases nothing."""


def read_forms(folder: Path, identifiers: Iterable[str]) -> Mapping[str, DecisionForm]:
    """Return the decided requests in the JSON files of a data folder, by their reference.

    `identifiers` are the names under which a request can say whom or what it is about. A request
    without a decision is not decided, and a decision without a request is about nothing: neither
    gives a form.

    Raises:
        PackInvalid: a form lacks what every such form has.
    """
    requests: dict[str, dict[str, Any]] = {}
    decisions: dict[str, dict[str, Any]] = {}
    for path, form in _forms(folder):
        kept = requests if form["form"] == "request" else decisions
        try:
            kept[form["request_ref"]] = form
        except KeyError as missing:
            raise PackInvalid(f"{path.name}: a form lacks {missing}") from None
    names = frozenset(identifiers)
    try:
        return {
            reference: _decided(requests[reference], decision, names)
            for reference, decision in decisions.items()
            if reference in requests
        }
    except (KeyError, ValueError) as fault:
        raise PackInvalid(f"a request or decision form cannot be read: {fault}") from None


def _forms(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        for item in content if isinstance(content, list) else ():
            if isinstance(item, dict) and item.get("form") in ("request", "decision"):
                yield path, item


def _decided(
    request: Mapping[str, Any], decision: Mapping[str, Any], names: frozenset[str]
) -> DecisionForm:
    about = {name: str(request[name]) for name in names if request.get(name) is not None}
    return DecisionForm(
        reference=request["request_ref"],
        requester=request["requesting_organisation"],
        approved=decision["decision"] != DO_NOT_SHARE,
        fields_released=frozenset(decision["fields_released"]),
        decided_at=datetime.fromisoformat(decision["decided_at"]),
        operation_ref=request.get("operation_ref"),
        subject_category=request.get("subject_category"),
        subject=about,
    )
