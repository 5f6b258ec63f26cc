"""The rules that come from the law cite it."""

from __future__ import annotations

from policies.authoring.law_rules import LAW_RULES


def test_each_rule_has_its_words() -> None:
    """Rule and mend are sentences; the source is named."""
    for code, guidance in LAW_RULES.items():
        assert guidance.rule.endswith((".", "…")), code
        assert guidance.mend.endswith("."), code
        assert guidance.source, code
