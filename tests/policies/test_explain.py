"""Decisions in plain English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from policies.decide import decide
from policies.decision import Decision, ReasonCode, Verdict
from policies.examine import examine
from policies.explain import Explanation, detail_of, explain
from policies.glossary import MEANINGS
from policies.select import refuse

WORDS_PER_SENTENCE_MAX: Final = 20
READING_AGE_MAX: Final = 12.0
"""The GOV.UK style guide asks for a reading age of about nine; terms of the law cost some."""
BANNED: Final = (
    *("gdpr prevents", "gdpr stops", "gdpr does not allow", "because of gdpr", "due to gdpr"),
    *("data protection prevents", "data protection reasons", "please", "unauthorised", "illegal"),
    *("pursuant", "herein", "aforementioned", "notwithstanding", "hereby", "utilise"),
)
_CODES: Final = re.compile(
    r"\S*[A-Z]\S*[A-Z0-9]\S*|\S*[0-9_/@{}]\S*|[a-z]+(-[a-z]+){2,}|\(.*?\)|\S+\.example"
)
"""Names, dates, paths and citations: they are quoted, not prose."""


@pytest.mark.parametrize("reason", list(ReasonCode))
def test_every_reason_has_a_sentence(reason: ReasonCode) -> None:
    """Whatever the reason, the caller gets a sentence."""
    said = detail_of(Decision(verdict=Verdict.DENY, reason=reason))
    assert said.endswith(".")


def test_a_party_is_told_what_failed(pack: Any) -> None:
    """The sentence of the check that gave the reason."""
    said = detail_of(pack.decide("S1R1"))
    assert said == "COPI-NOTICE-GENERAL@5 ended at 2022-06-30T23:00:00+00:00."


def test_a_stranger_is_told_nothing_of_the_agreement(pack: Any) -> None:
    """Only the general sentence of the reason, whatever else failed."""
    for call_id in ("S1R6", "S3R6", "S1R7"):
        decision = pack.decide(call_id)
        assert detail_of(decision) == detail_of(refuse(decision.reason))


def test_a_refusal_is_explained_check_by_check(pack: Any) -> None:
    """The outcome first, then every failed check with its clause, then what to do."""
    said = explain(pack.decide("S3R1", on_behalf_of="ods:X9Z"))
    assert said.summary == (
        "Refused under DSA-2026-0003 version 1, rule R1: The operation is closed at this time."
    )
    assert [one.clause for one in said.statements] == ["access.rules.R1.hours", "onward_sharing"]
    assert said.lines[1] == (
        "Failed. hours: Rule R1 is closed at this time. (access.rules.R1.hours)"
    )
    assert "What to do: Open 20:00 to 06:00" in said.lines[-1]


def test_a_permit_is_explained_with_its_law(pack: Any) -> None:
    """An urgent one says how long it lasts."""
    assert explain(pack.decide("S3A1")).lines == (
        "Permitted under DSA-2026-0003 version 1, rule R1, relying on DEA2017-s35-FUEL-POVERTY@1.",
    )
    assert "as an urgent grant until 2026-11-19T03:38" in explain(pack.decide("S2B1")).summary


def test_an_urgent_caller_meets_no_dead_end(pack: Any) -> None:
    """Where an urgent grant would lift the refusal, the advice says so."""
    assert "urgent access is open" in str(explain(pack.decide("S2R1")).advice)


def test_what_could_not_be_told_is_said_so(pack: Any) -> None:
    """A check that could not be made counts as no, and says it."""
    policy, lawless = pack.policies["DSA-2026-0003"], replace(pack.law, instruments={})
    denied = decide(policy, pack.query("S3A1"), lawless)
    assert "could not be told" in explain(denied).lines[1]


def test_the_same_as_data(pack: Any) -> None:
    """Programs get the outcome, every check, its clause and its sentence."""
    found = _examined(pack, "S3A1").as_data()
    assert (found["permitted"], found["reason"], found["rule"]) == (True, "OK", "R1")
    checks: Any = found["checks"]
    assert {check["outcome"] for check in checks} == {"passed"}
    assert "access.rules.R1.hours" in {check["clause"] for check in checks}


def test_sentences_are_short_and_plain(pack: Any) -> None:
    """No sentence is longer than twenty words, and together they suit a reading age of twelve."""
    sentences = list(_sentences(pack))
    long = [one for one in sentences if len(one.split()) > WORDS_PER_SENTENCE_MAX]
    assert long == []
    assert reading_age(sentences) <= READING_AGE_MAX


def test_no_sentence_blames_the_law_or_sounds_like_it(pack: Any) -> None:
    """Nothing says that the GDPR prevents sharing, and no word is a lawyer's only."""
    said = " ".join(_sentences(pack)).lower()
    assert [phrase for phrase in BANNED if phrase in said] == []


def test_the_measure_tells_plain_from_stiff() -> None:
    """The reading age of stiff prose is far above the bound, so that the bound means something."""
    stiff = (
        "The aforementioned authorisation necessitates demonstrable organisational accountability "
        "notwithstanding administrative impracticability of contemporaneous documentation"
    )
    assert reading_age([stiff]) > 2 * READING_AGE_MAX


def reading_age(sentences: list[str]) -> float:
    """Return the Flesch-Kincaid grade of the sentences, plus the age at which school begins."""
    spoken = [word for one in sentences for word in re.findall(r"[a-z']+", one.lower())]
    syllables = sum(map(_syllables, spoken))
    grade = 0.39 * len(spoken) / len(sentences) + 11.8 * syllables / len(spoken) - 15.59
    return grade + 5


def _syllables(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word))
    silent = word.endswith(("e", "es", "ed")) and not word.endswith(("le", "ted", "ded"))
    return max(1, groups - silent)


def _sentences(pack: Any) -> Iterator[str]:
    """Yield every sentence that the pack's calls, the reasons and the glossary bring forth."""
    texts = [detail_of(Decision(verdict=Verdict.DENY, reason=reason)) for reason in ReasonCode]
    for call in pack.calls():
        said = _examined(pack, call["id"])
        texts += [said.advice or "", *(one.sentence for one in said.statements)]
    texts += [one.meaning for one in MEANINGS.values()]
    texts += [one.how for one in MEANINGS.values()]
    for text in dict.fromkeys(texts):
        for sentence in re.split(r"(?<=[.:;]) ", text):
            prose = _CODES.sub("", sentence).strip()
            if len(prose.split()) > 1:
                yield prose


def _examined(pack: Any, call_id: str) -> Explanation:
    policy = pack.policies[pack.call(call_id)["agreement"]]
    found = examine(policy, pack.query(call_id), pack.law)
    return explain(found.decision, found.checks)
