"""One query held against one rule: what the checks look at, and what they have found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from policies.compile import CompiledRule, Policy, UrgentAccess
from policies.decision import PUBLIC, DecisionForm, Query, ReasonCode
from policies.law import Law, Reliance

_Test = TypeVar("_Test")
"""What a value is held against: a kind of identifier, or the values agreed."""


class Finding(NamedTuple):
    """A failed check: the reason it gives, the clause that asks, and what would have passed.

    `detail` is one sentence without any personal data; `hint` says what is permitted instead.
    `unknown` means that the check could not be made, which fails it (deny by default).
    """

    name: str
    reason: ReasonCode
    clause: str
    detail: str
    hint: str | None = None
    unknown: bool = False


class Case:
    """A query and the rule it is judged by; `rule` is None where none is the caller's.

    `admitted` tells whether the caller is a party here, or covered by a public rule. `permitted`
    are the fields the caller may see, after a decision form has narrowed the rule's. `values` are
    the named values of path and query. `urgent` is
    the break-glass clause that the caller may invoke and does.
    """

    __slots__ = (
        "admitted",
        "found",
        "law",
        "path_parameters",
        "permitted",
        "policy",
        "purpose",
        "query",
        "reliance",
        "rule",
        "urgent",
        "values",
    )

    def __init__(
        self,
        policy: Policy,
        query: Query,
        law: Law,
        match: tuple[CompiledRule | None, Mapping[str, str]],
        *,
        admitted: bool,
    ) -> None:
        """Set the case out; nothing is found yet."""
        self.policy = policy
        self.query = query
        self.law = law
        self.rule, self.path_parameters = match
        self.admitted = admitted
        self.purpose = purpose_of(query, self.rule)
        self.values: tuple[tuple[str, object], ...] = query.parameters
        if self.path_parameters:
            self.values = (*self.path_parameters.items(), *query.parameters)
        self.permitted: frozenset[str] = self.rule.permitted_fields if self.rule else frozenset()
        self.reliance: Reliance | None = None
        self.urgent: UrgentAccess | None = None
        self.found: list[Finding] = []

    def clause(self, part: str) -> str:
        """Return the place of a part of the rule, as people cite it."""
        return f"access.rules.{self.rule.id}.{part}" if self.rule else "access.rules"

    def named_values(self) -> Iterator[tuple[str, object]]:
        """Yield every named value of the request: from its path, its query and its body."""
        yield from self.values
        for row in self.query.rows or ():
            yield from row.items()

    def failing(
        self, names: Mapping[str, _Test], passes: Callable[[_Test, object], bool]
    ) -> tuple[str, ...]:
        """Return those of `names` for which the request has a value that does not pass, once each.

        This stands in every decision's way, so it looks up rather than searches.
        """
        found = set()
        for name, value in self.values:
            if name in names and not passes(names[name], value):
                found.add(name)
        for row in self.query.rows or ():
            for name, value in row.items():
                if name in names and not passes(names[name], value):
                    found.add(name)
        return tuple(sorted(found)) if found else ()


def purpose_of(query: Query, rule: CompiledRule | None) -> str | None:
    """Return the purpose to judge: the public's is the first purpose of the rule it uses."""
    if query.caller.organisation == PUBLIC:
        return rule.purposes[0] if rule and rule.purposes else None
    return query.purpose or None


def decides_this_case(form: DecisionForm, case: Case, reference: str) -> bool:
    """Whether a recorded decision releases data for just this request.

    It must name the reference, the requester, the operation and the subject category of the
    request, and every identifier in the path; what it says of its subject must be what the
    request says.
    """
    query, rule = case.query, case.rule
    if (
        not form.approved
        or form.reference != reference
        or form.requester != query.caller.organisation
        or form.decided_at > query.at
    ):
        return False
    for name in ("operation_ref", "subject_category"):
        decided = getattr(form, name)
        if decided is not None and decided != query.context.get(name):
            return False
    identifiers = rule.identifiers if rule else {}
    if any(name in identifiers and name not in form.subject for name in case.path_parameters):
        return False
    asked: dict[str, set[object]] = {}
    for name, value in case.named_values():
        if name in form.subject:
            asked.setdefault(name, set()).add(value if isinstance(value, str) else None)
    return all(asked.get(name) == {value} for name, value in form.subject.items())
