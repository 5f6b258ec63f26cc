"""The mutants of the decision that nothing can tell from the original, and why.

`python -m tests.policies.mutation` fails for a survivor that is not here, and for one that is
here and does not survive.
"""

from __future__ import annotations

from typing import Final

WHY: Final = (
    (
        "Sorting one rule, or none, changes nothing; the test only saves the call.",
        (
            "decide.candidates: Gt to GtE in `if len(mine) > 1:`",
            "decide.candidates: always True `len(mine) > 1` in `if len(mine) > 1:`",
        ),
    ),
    (
        (
            "More checks are made than the rule or the query can fail; they all pass. The set "
            "only saves time."
        ),
        (
            "decide.applicable: always True `query.break_glass is not None` in `if "
            "query.break_glass is not None:`",
            "decide.checks_of: BitOr to BitAnd in `left_out = _SETTLED | _OF_RICHER_QUERIES if "
            "plain else _SETTLED`",
            "decide.checks_of: always False `plain` in `left_out = _SETTLED | "
            "_OF_RICHER_QUERIES if plain else _SETTLED`",
            "decide.checks_of: drop `_CLAUSE_OF.get(check) in (None, *clauses)` in `if check "
            "not in left_out and _CLAUSE_OF.get(check) in (None, *clauses)`",
            "decide.checks_of: drop `check not in left_out` in `if check not in left_out and "
            "_CLAUSE_OF.get(check) in (None, *clauses)`",
            "decide.checks_of: swap and/or in `if check not in left_out and "
            "_CLAUSE_OF.get(check) in (None, *clauses)`",
        ),
    ),
    (
        "A permit has a reliance with a version in force: check_law refuses every other case.",
        (
            "decide.permit: always True `reliance and reliance.version` in `version = "
            "reliance.version.version if reliance and reliance.version else None`",
            "decide.permit: always True `reliance` in `instrument=reliance.text if reliance "
            "else None,`",
            "decide.permit: always True `reliance` in `key = (case.purpose, "
            "reliance.instrument.id if reliance else None, version)`",
            "decide.permit: drop `reliance.version` in `version = reliance.version.version if "
            "reliance and reliance.version else None`",
            "decide.permit: drop `reliance` in `version = reliance.version.version if reliance "
            "and reliance.version else None`",
            "decide.permit: swap and/or in `version = reliance.version.version if reliance and "
            "reliance.version else None`",
        ),
    ),
    (
        (
            "On a permit the grant and the clause are both there or both missing: check_urgency "
            "refuses the rest."
        ),
        (
            "decide._urgent_use: drop `said is None` in `if urgent is None or said is None:`",
            "decide._urgent_use: drop `urgent is None` in `if urgent is None or said is None:`",
            "decide._urgent_use: swap and/or in `if urgent is None or said is None:`",
        ),
    ),
    (
        "The other half of the condition already says that there is a rule.",
        (
            "decide._clause: drop `rule is not None` in `in_rule = rule is not None and "
            'finding.clause.startswith("access.rules.")`',
            "decide._clause: drop `rule` in `return rule.id if rule and in_rule else "
            "finding.clause`",
        ),
    ),
    (
        "Any reason of the clause serves the trial; which one is not shown.",
        ('decide._hint: min to max in `reason=min(urgent.reasons, default=""),`',),
    ),
    (
        "None is among no agreement's purposes.",
        (
            "checks.check_law: drop `purpose is None` in `if purpose is None or purpose not in "
            "policy.purposes:`",
        ),
    ),
    (
        "No rank is below 0; the test only saves the look-up.",
        ("checks.check_actor: drop `asked` in `if asked and assurance_rank(caller.acr) < asked:`",),
    ),
    (
        "Without a subject field nothing is named, and nothing is not one person.",
        (
            "checks._names_one: drop `subject is not None` in `return subject is not None and "
            "len(named) == 1 and len(case.query.rows or ()) <= 1`",
        ),
    ),
    (
        "`ended` is only set from a reliance.",
        ("checks.check_law: drop `reliance` in `if reliance and ended`",),
    ),
    (
        (
            "Worked out anew, the parameters of a rule that nothing narrows are the same; it "
            "only saves time."
        ),
        (
            "request_checks.check_fields: always True `case.permitted is not "
            "rule.permitted_fields` in `if case.permitted is not rule.permitted_fields:`",
        ),
    ),
    (
        "Without filters both loops are empty; the test only saves time.",
        (
            "request_checks.check_filters: drop `not (rule.filters_required or "
            "rule.filter_values)` in `if rule is None or not (rule.filters_required or "
            "rule.filter_values):`",
        ),
    ),
    (
        "An urgent case has a grant; the test is there for the type checker.",
        (
            "request_checks.check_volume: drop `said is not None` in `if urgent is not None and "
            "said is not None and said.subjects_so_far >= urgent.max_subjects:`",
        ),
    ),
    (
        "Values of path and query are texts; the test is there for the type checker.",
        (
            "request_checks._is_sent: drop `isinstance(value, str)` in `if sent == name and "
            "isinstance(value, str) and value.strip():`",
        ),
    ),
    (
        "`bool(rows)` has already said no; the word is there for the type checker.",
        (
            "request_checks._is_sent: drop `()` in `return bool(rows) and "
            "all(_says_something(row.get(name)) for row in rows or ())`",
        ),
    ),
    (
        "Without path parameters the values come out equal; the test only saves time.",
        ("case.__init__: always True `self.path_parameters` in `if self.path_parameters:`",),
    ),
    (
        "Only a rule asks for a decision; the test is there for the type checker.",
        (
            "case.decides_this_case: always True `rule` in `identifiers = rule.identifiers if "
            "rule else {}`",
        ),
    ),
    (
        "More names are collected than the form has; only the form's are looked at.",
        (
            "case.decides_this_case: always True `name in form.subject` in `if name in "
            "form.subject:`",
        ),
    ),
    (
        "Every caller has a rule; the test is there for the type checker.",
        (
            "case.clause: always True `self.rule` in `return "
            'f"access.rules.{self.rule.id}.{part}" if self.rule else "access.rules"`',
        ),
    ),
    (
        "An empty set gives an empty tuple either way; the test only saves time.",
        ("case.failing: always True `found` in `return tuple(sorted(found)) if found else ()`",),
    ),
    (
        "A rule without purposes is refused when it is read.",
        (
            "case.purpose_of: drop `rule.purposes` in `return rule.purposes[0] if rule and "
            "rule.purposes else None`",
        ),
    ),
    (
        "Decisions do not use it; `policies.effects` does.",
        (
            "times.module: 24 to 25 in `MINUTES_PER_DAY: Final = 24 * 60`",
            "times.module: 60 to 61 in `MINUTES_PER_DAY: Final = 24 * 60`",
            "times.module: Mult to FloorDiv in `MINUTES_PER_DAY: Final = 24 * 60`",
        ),
    ),
    (
        "A rule of mode public that is not the public's is refused when it is read.",
        (
            "select._public: drop `rule.party == PUBLIC` in `rule.party == PUBLIC and rule.mode "
            "== PUBLIC and rule.connector == service`",
        ),
    ),
    (
        "Another bound of memory decides nothing.",
        ("settled.module: 64 to 65 in `SPANS_REMEMBERED_MAX: Final = 64`",),
    ),
    (
        ("No agreement is read that ends with the calendar; one without an end has no such date."),
        (
            "settled.dates: Lt to LtE in `if policy.ends is not None and policy.ends < LATEST:`",
            "settled.dates: drop `policy.ends < LATEST` in `if policy.ends is not None and "
            "policy.ends < LATEST:`",
        ),
    ),
    (
        (
            "What is settled only saves time: where less of it is used, the decision is made "
            "from the beginning, with the same answer."
        ),
        (
            "settled._open: True to False in `for plain in (True, False)`",
            "settled._open: always True `left_of_plain` in `permit=None if left_of_plain "
            "else permit(case, rule),`",
            "settled._settle: True to False in `case = Case(self.policy, plain, self._law, "
            "match, admitted=True)`",
            "settled._settle: always False `not case.found` in `if not case.found:`",
            "settled._settle: always True `after` in `since=self._dates[after - 1] if after "
            "else _EARLIEST,`",
            "settled._settle: leave the statement out in `opened.append(_open(case, "
            "match[0], place))`",
            "settled.decide: LtE to Lt in `if span is None or not span.since <= query.at < "
            "span.until:`",
            "settled.decide: True to False in `case = Case(self.policy, query, self._law, "
            "matched[one.place], admitted=True)`",
            "settled.decide: always False `not case.found` in `if not case.found:`",
            "settled.decide: always False `plain and one.permit is not None` in `if plain "
            "and one.permit is not None:`",
            "settled.decide: always False `plain` in `for check in one.left_of_plain if "
            "plain else one.left:`",
            "settled.decide: always True `span is None or not span.since <= query.at < "
            "span.until` in `if span is None or not span.since <= query.at < span.until:`",
        ),
    ),
)
"""Each reason, with the names of its mutants."""

SURVIVORS: Final = {name: why for why, names in WHY for name in names}
