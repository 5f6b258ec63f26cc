"""Urgent grants: one at a time, counted exactly, by several writers and across restarts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit.grants import GRANT_TABLES, Tagger
from gateway.audit.log import AuditLog
from gateway.audit.store import GrantExhausted, GrantUse, Position
from tests.gateway.audit.records import (
    each_store,
    intent,
    opened,
    place_in,
    provisioned,
    selected,
    tampered,
    using,
)

HOLDER = b"holder-of-a-grant"
WORDS, OTHER_WORDS = b"words", b"other words"
SUBJECTS_MAX = 6
START_US = 1_000_000


def use_of(
    *subjects: bytes,
    seen_us: int | None = None,
    started_us: int = START_US,
    begins: bool | None = None,
    words: bytes = WORDS,
) -> GrantUse:
    """Return a use that covers `subjects`; it begins a grant where none was seen."""
    return GrantUse(
        holder=HOLDER,
        words=words,
        seen_us=seen_us,
        begins=seen_us is None if begins is None else begins,
        started_us=started_us,
        subjects=subjects,
        subjects_max=SUBJECTS_MAX,
    )


def people(count: int) -> list[bytes]:
    """Return tags of different people."""
    return [b"person %d" % number for number in range(count)]


@each_store
def test_a_use_begins_a_grant_and_the_next_goes_on_with_it(tmp_path: Path) -> None:
    """The start stays where it was; the people add up, each counted once."""

    async def use(log: AuditLog) -> None:
        assert await log.find_grant(HOLDER, WORDS) is None
        await log.append(intent(), counters=[use_of(b"a")])
        later = use_of(b"a", b"b", seen_us=START_US, words=OTHER_WORDS)
        await log.append(intent(), counters=[later])
        found = await log.find_grant(HOLDER, WORDS)

        assert found is not None
        assert (found.started_us, found.subjects, found.said) == (
            START_US,
            frozenset((b"a", b"b")),
            True,
        )
        unsaid = await log.find_grant(HOLDER, b"never said")
        assert unsaid is not None
        assert not unsaid.said

    using(tmp_path, use)


@each_store
def test_one_person_too_many_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """The refused record takes no index, and nobody is counted for it."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[use_of(*people(SUBJECTS_MAX))])
        answers = await asyncio.gather(
            log.append(intent(), counters=[use_of(b"one more", seen_us=START_US)]),
            log.append(intent(), counters=[use_of(b"person 0", seen_us=START_US)]),
            return_exceptions=True,
        )

        assert isinstance(answers[0], GrantExhausted)
        assert answers[0].holder == HOLDER
        assert isinstance(answers[1], Position)
        found = await log.find_grant(HOLDER, WORDS)
        assert found is not None
        assert found.subjects == set(people(SUBJECTS_MAX))

    using(tmp_path, use)


@each_store
def test_a_new_grant_counts_anew_and_keeps_the_words_that_were_used(tmp_path: Path) -> None:
    """Once a grant has run out another may begin; what founded the first founds nothing again."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[use_of(b"a", b"b")])
        again = use_of(
            b"c", seen_us=START_US, started_us=2 * START_US, begins=True, words=OTHER_WORDS
        )
        await log.append(intent(), counters=[again])
        found = await log.find_grant(HOLDER, WORDS)

        assert found is not None
        assert (found.started_us, found.subjects, found.said) == (
            2 * START_US,
            frozenset((b"c",)),
            True,
        )

    using(tmp_path, use)


@each_store
@pytest.mark.parametrize(
    ("started_us", "kept_us"), [(START_US // 2, START_US // 2), (START_US * 2, START_US)]
)
def test_a_token_can_only_make_a_grant_older(tmp_path: Path, started_us: int, kept_us: int) -> None:
    """An earlier start stands from then on; a later one changes nothing."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[use_of(b"a")])
        await log.append(intent(), counters=[use_of(seen_us=START_US, started_us=started_us)])
        found = await log.find_grant(HOLDER, WORDS)

        assert found is not None
        assert found.started_us == kept_us

    using(tmp_path, use)


@each_store
def test_of_two_that_would_begin_a_grant_one_does(tmp_path: Path) -> None:
    """Two workers that both saw none share one grant, and its number of people holds."""

    async def run() -> None:
        first, second = opened(tmp_path, "first"), opened(tmp_path, "second")
        await first.start()
        await second.start()
        try:
            asked = [
                log.append(intent(), counters=[use_of(person, started_us=START_US + number)])
                for number, (log, person) in enumerate(
                    zip(itertools.cycle([first, second]), people(20), strict=False)
                )
            ]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            allowed = [answer for answer in answers if isinstance(answer, Position)]

            assert len(allowed) == SUBJECTS_MAX
            assert sum(isinstance(one, GrantExhausted) for one in answers) == 20 - SUBJECTS_MAX
            for log in (first, second):
                found = await log.find_grant(HOLDER, WORDS)
                assert found is not None
                assert len(found.subjects) == SUBJECTS_MAX
        finally:
            await first.stop()
            await second.stop()

    asyncio.run(run())


@each_store
def test_whoever_was_slower_does_not_begin_the_grant_again(tmp_path: Path) -> None:
    """A grant that another worker renewed meanwhile keeps its start and its people."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[use_of(b"old")])
        renewed = {"seen_us": START_US, "begins": True}
        for person, started_us in ((b"a", 9 * START_US), (b"b", 10 * START_US)):
            change = use_of(person, started_us=started_us, **renewed)  # type: ignore[arg-type]  # both are named
            await log.append(intent(), counters=[change])
        found = await log.find_grant(HOLDER, WORDS)

        assert found is not None
        assert (found.started_us, found.subjects) == (9 * START_US, frozenset((b"a", b"b")))

    using(tmp_path, use)


@each_store
def test_a_restart_resets_nothing(tmp_path: Path) -> None:
    """The next process finds start, people and words as they were."""

    async def begin(log: AuditLog) -> None:
        await log.append(intent(), counters=[use_of(*people(SUBJECTS_MAX))])

    async def go_on(log: AuditLog) -> None:
        found = await log.find_grant(HOLDER, WORDS)
        assert found is not None
        assert (found.started_us, len(found.subjects), found.said) == (START_US, 6, True)
        with pytest.raises(GrantExhausted):
            await log.append(intent(), counters=[use_of(b"more", seen_us=START_US)])

    using(tmp_path, begin)
    using(tmp_path, go_on)


def test_a_log_of_an_earlier_version_gets_its_tables(tmp_path: Path) -> None:
    """Opening it is enough; nothing else is asked of its operator."""
    path = provisioned(tmp_path)
    for table in ("audit_grant", "audit_grant_words", "audit_grant_subject"):
        tampered(path, f"DROP TABLE {table}")

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[use_of(b"a")])

    using(tmp_path, use)
    assert len(GRANT_TABLES) == 3


@each_store
def test_nobody_stands_in_the_state_in_clear(tmp_path: Path) -> None:
    """What is stored is a keyed tag, and differs from log to log."""
    parts: Sequence[str] = ("subject", "nhs_number", "9992000066")
    ours, theirs = Tagger(b"k" * 32), Tagger(b"l" * 32)

    assert ours.tag(*parts) == ours.tag(*parts)
    assert ours.tag(*parts) != theirs.tag(*parts)
    assert ours.tag("a", "bc") != ours.tag("ab", "c")

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[use_of(log.tagger.tag(*parts))])

    using(tmp_path, use)
    path = place_in(tmp_path)
    kept = selected(path, "SELECT subject FROM audit_grant_subject")
    assert [len(tag) for (tag,) in kept] == [16]
