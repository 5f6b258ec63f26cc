"""What is settled of a caller's decisions: judged once, and again when a date could change it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from policies.case import Case
from policies.compile import CompiledRule, Policy
from policies.decide import (
    CHECKS,
    OF_THE_REQUEST,
    Match,
    candidates,
    checks_of,
    decide,
    is_party,
    is_plain,
    permit,
)
from policies.decision import Decision, Query
from policies.law import Law, Reliance
from policies.times import LATEST

SPANS_REMEMBERED_MAX: Final = 64
"""Sets of rules, each with what is settled of it, that are remembered of one caller."""

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_RESOLUTION: Final = timedelta(microseconds=1)
_SETTLING: Final = tuple(check for check in CHECKS if check not in OF_THE_REQUEST)


def dates(policy: Policy, law: Law) -> Iterator[datetime]:
    """Yield every instant from which on `policy` under `law` may answer otherwise than before.

    Hours of the week are not among them: they are asked about anew by every decision.
    """
    yield policy.starts
    yield policy.review_lapses
    if policy.ends is not None and policy.ends < LATEST:
        yield policy.ends + _RESOLUTION  # the end itself is included
    for one in policy.instruments:
        instrument = law.instruments.get(one)
        for version in instrument.versions if instrument else ():
            yield version.from_
            if version.until is not None:
                yield version.until


class _Open(NamedTuple):
    """A rule that permits, unless the request fails one of the checks that are left.

    `place` is where it stands among the rules that the operation falls under. `permit` is the
    answer to a plain query that has no check left to fail, None where there is no such query.
    """

    place: int
    rule: CompiledRule
    reliance: Reliance | None
    left_of_plain: tuple[Callable[[Case], None], ...]
    left: tuple[Callable[[Case], None], ...]
    permit: Decision | None


class _Span(NamedTuple):
    """The rules that are open to the caller from `since` until just before `until`."""

    since: datetime
    until: datetime
    open: tuple[_Open, ...]


class Settled:
    """Decides the queries of one caller under one agreement and one table of law.

    Its answers are those of `decide`. What a token fixes (the caller, and for what purpose, in
    which context and on whose behalf it asks) comes to the same for every operation under the same
    rules, until a date of agreement or law is reached: so it is judged once for each such span.
    What the request itself names is judged every time, and a refusal is made from the beginning.
    """

    __slots__ = ("_asked", "_dates", "_law", "_spans", "policy")

    def __init__(self, policy: Policy, law: Law, asked: Query) -> None:
        """Judge the queries of whoever asked `asked`, in the same context."""
        self.policy = policy
        self._law = law
        self._asked = asked.caller, asked.context, asked.purpose, asked.on_behalf_of
        self._dates = tuple(sorted(dates(policy, law)))
        self._spans: dict[tuple[str, ...], _Span] = {}

    def decide(self, query: Query) -> Decision:
        """Return ``decide(policy, query, law)``, whoever asks."""
        caller, context, purpose, on_behalf_of = self._asked
        if (
            query.caller is not caller
            or query.context is not context
            or query.purpose != purpose
            or query.on_behalf_of != on_behalf_of
            or query.break_glass is not None
        ):
            return decide(self.policy, query, self._law)
        matched = self.policy.matching(query.method, query.path)
        rules = tuple([rule.id for rule, _ in matched])
        span = self._spans.get(rules)
        if span is None or not span.since <= query.at < span.until:
            span = self._settle(rules, matched, query)
        plain = is_plain(query)
        for one in span.open:
            if plain and one.permit is not None:
                return one.permit
            case = Case(self.policy, query, self._law, matched[one.place], admitted=True)
            case.reliance = one.reliance
            for check in one.left_of_plain if plain else one.left:
                check(case)
            if not case.found:
                return permit(case, one.rule)
        return decide(self.policy, query, self._law)

    def _settle(self, rules: tuple[str, ...], matched: list[Match], query: Query) -> _Span:
        """Judge what the request has no part in, and keep it for as long as no date passes."""
        plain = replace(query, parameters=(), fields=None, rows=None)
        named = is_party(self.policy, plain)
        opened = []
        for match in candidates(matched, plain, named=named):
            case = Case(self.policy, plain, self._law, match, admitted=True)
            for check in _SETTLING:
                check(case)
            if not case.found:
                place = next(place for place, one in enumerate(matched) if one is match)
                opened.append(_open(case, match[0], place))
        after = bisect_right(self._dates, query.at)
        span = _Span(
            since=self._dates[after - 1] if after else _EARLIEST,
            until=self._dates[after] if after < len(self._dates) else LATEST,
            open=tuple(opened),
        )
        if len(self._spans) >= SPANS_REMEMBERED_MAX:
            self._spans.clear()
        self._spans[rules] = span
        return span


def _open(case: Case, rule: CompiledRule, place: int) -> _Open:
    """Return what is left to ask of a case in which nothing was found so far."""
    left_of_plain, left = (
        tuple(check for check in checks_of(rule.clauses, plain) if check in OF_THE_REQUEST)
        for plain in (True, False)
    )
    return _Open(
        place=place,
        rule=rule,
        reliance=case.reliance,
        left_of_plain=left_of_plain,
        left=left,
        permit=None if left_of_plain else permit(case, rule),
    )
