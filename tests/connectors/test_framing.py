"""Answers are read the same way however their bytes arrive."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.framing import (
    FIELDS_MAX,
    HEAD_BYTES_MAX,
    HEAD_KEPT_BYTES_MAX,
    HEADS_KEPT_MAX,
    AnswerReader,
    BadAnswer,
    KnownHeads,
)
from connectors.testing import conformance_cases

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
WHOLE_SCRIPTS = {
    case.id: (b"".join(step for step in case.script if isinstance(step, bytes)), case.method)
    for case in conformance_cases()
    if sum(len(step) for step in case.script if isinstance(step, bytes)) < 2000
}


@dataclass(frozen=True)
class Verdict:
    """What a reader made of some bytes."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    complete: bool
    refused: bool


def verdict(*parts: bytes, head_only: bool = False, heads: KnownHeads | None = None) -> Verdict:
    """Feed `parts`, then the end of the connection."""
    reader = AnswerReader(heads)
    reader.begin(head_only=head_only)
    refused = False
    try:
        for part in parts:
            reader.feed(part)
        reader.finish()
    except BadAnswer:
        refused = True
    body = reader.take() if not refused else b""
    return Verdict(reader.status, reader.headers, body, reader.complete, refused)


@pytest.mark.parametrize("name", WHOLE_SCRIPTS)
def test_every_split_gives_the_same_verdict(name: str) -> None:
    """F-24: an answer cut in two at any byte is judged as the whole one."""
    data, method = WHOLE_SCRIPTS[name]
    head_only = method == "HEAD"
    whole = verdict(data, head_only=head_only)
    for cut in range(1, len(data)):
        assert verdict(data[:cut], data[cut:], head_only=head_only) == whole
    assert verdict(*(bytes((byte,)) for byte in data), head_only=head_only) == whole


@pytest.fixture(scope="module")
def every_head() -> KnownHeads:
    """Know every head of the conformance suite that can be known."""
    heads = KnownHeads()
    for data, method in WHOLE_SCRIPTS.values():
        verdict(data, head_only=method == "HEAD", heads=heads)
    raw = [data[: data.find(b"\r\n\r\n") + 4] for data, _ in WHOLE_SCRIPTS.values()]
    assert any(map(heads.get, raw))
    return heads


@pytest.mark.parametrize("name", WHOLE_SCRIPTS)
def test_known_heads_change_no_verdict(name: str, every_head: KnownHeads) -> None:
    """An answer is judged as if its head came for the first time, wherever it is cut."""
    data, _ = WHOLE_SCRIPTS[name]
    for head_only in (False, True):
        whole = verdict(data, head_only=head_only)
        assert verdict(data, head_only=head_only, heads=every_head) == whole
        for cut in range(1, len(data)):
            parts = data[:cut], data[cut:]
            assert verdict(*parts, head_only=head_only, heads=every_head) == whole


@given(data=st.binary(max_size=200), cut=st.integers(0, 200), head_only=st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, cut: int, head_only: bool) -> None:
    """The reader is total: bytes give an answer or BadAnswer, nothing else."""
    for start in (b"", OK, CHUNKED):
        answer = start + data
        verdict(answer[:cut], answer[cut:], head_only=head_only)


@given(
    bodies=st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    extension=st.sampled_from([b"", b";a=b"]),
)
def test_chunks_join_to_the_body(bodies: list[bytes], extension: bytes) -> None:
    """A chunked body is the concatenation of its chunks."""
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(body), extension, body) for body in bodies)
    seen = verdict(CHUNKED + chunks + b"0\r\n\r\n")
    assert (seen.body, seen.complete) == (b"".join(bodies), True)


def test_the_head_may_be_as_large_as_the_limit_and_no_larger() -> None:
    """The cap on header bytes is exact, however the head is split."""
    end = b"\r\ncontent-length: 0\r\n\r\n"
    filling = HEAD_BYTES_MAX - len(OK + b"a: " + end)
    fits = OK + b"a: " + b"b" * filling + end
    assert not verdict(fits).refused
    assert not verdict(fits[:-1], fits[-1:]).refused
    too_large = OK + b"a: " + b"b" * (filling + 1) + end
    assert verdict(too_large).refused
    assert verdict(too_large[:-1], too_large[-1:]).refused


def test_the_number_of_fields_is_capped() -> None:
    """One field more than the limit is refused."""
    end = b"content-length: 0\r\n\r\n"
    assert not verdict(OK + b"a: b\r\n" * FIELDS_MAX + end).refused
    assert verdict(OK + b"a: b\r\n" * (FIELDS_MAX + 1) + end).refused


def test_blank_lines_before_the_status_line_are_refused() -> None:
    """llhttp would skip them; on a kept connection they are bytes that nobody asked for."""
    assert verdict(b"\r\n" + OK + b"content-length: 0\r\n\r\n").refused


@pytest.mark.parametrize(
    ("answer", "persistent", "surplus"),
    [
        (OK + b"content-length: 0\r\n\r\n", True, False),
        (OK + b"connection: close\r\ncontent-length: 0\r\n\r\n", False, False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False, False),
        (OK + b"content-length: 0\r\n\r\nX", True, True),
    ],
)
def test_only_a_clean_connection_may_be_kept(
    answer: bytes, persistent: bool, surplus: bool
) -> None:
    """Persistence is what RFC 9112, 9.3 says; bytes after the answer are noticed."""
    reader = AnswerReader()
    reader.begin(head_only=False)
    reader.feed(answer)
    assert (reader.complete, reader.persistent, reader.surplus) == (True, persistent, surplus)


@pytest.mark.parametrize(
    ("tail", "surplus"),
    [(b"", False), (b"X", True), (b"0\r\n\r\n", True), (b"\r\n\r\n", True), (b"\r\n", True)],
)
def test_bytes_after_the_answer_to_head_are_noticed(tail: bytes, surplus: bool) -> None:
    """After HEAD nothing may follow the header section, whatever framing it announces."""
    for framing in (b"content-length: 4", b"transfer-encoding: chunked", b"a: b"):
        reader = AnswerReader()
        reader.begin(head_only=True)
        reader.feed(OK + framing + b"\r\n\r\n" + tail)
        assert (reader.complete, reader.surplus, reader.take()) == (True, surplus, b"")


def test_one_reader_reads_answer_after_answer() -> None:
    """Nothing of an answer is left for the next, HEAD included."""
    reader = AnswerReader()
    for head_only in (False, True, False, True):
        reader.begin(head_only=head_only)
        reader.feed(OK + b"x-a: b\r\ncontent-length: 3\r\n\r\n" + (b"" if head_only else b"abc"))
        assert reader.headers == ((b"x-a", b"b"),)
        assert reader.take() == (b"" if head_only else b"abc")
        assert reader.complete


def read_to_end(answer: bytes, heads: KnownHeads, *, head_only: bool = False) -> AnswerReader:
    """Read one answer with a reader that knows `heads`."""
    reader = AnswerReader(heads)
    reader.begin(head_only=head_only)
    reader.feed(answer)
    return reader


SIZED = OK + b"x-a: b\r\ncontent-length: 3\r\n\r\n"


def test_a_known_head_is_known_by_all_its_bytes_only() -> None:
    """A head that differs in one byte, or answers HEAD, is read for itself."""
    heads = KnownHeads()
    read_to_end(SIZED + b"abc", heads)
    again = read_to_end(SIZED + b"def", heads)
    other = read_to_end(SIZED.replace(b"x-a: b", b"x-a: c") + b"def", heads)
    head_only = read_to_end(SIZED, heads, head_only=True)

    assert heads.get(SIZED) == (200, ((b"x-a", b"b"),), 3)
    assert (again.headers, again.take(), again.complete) == (((b"x-a", b"b"),), b"def", True)
    assert other.headers == ((b"x-a", b"c"),)
    assert (head_only.complete, head_only.take()) == (True, b"")


@pytest.mark.parametrize("begun", [b"transfer-encoding: chunked\r\nx: ", b"x: ", b"x: y\r\n\r\n"])
def test_a_known_head_is_no_head_behind_the_beginning_of_one(begun: bytes) -> None:
    """A service that can echo what it was sent must not let that end or replace its head."""
    heads = KnownHeads()
    read_to_end(SIZED + b"abc", heads)
    parts = OK + begun, SIZED + b"abc"
    assert verdict(*parts, heads=heads) == verdict(b"".join(parts))


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"connection: close\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n",
        CHUNKED + b"0\r\n\r\n",
        OK + b"\r\nabc",
        b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED + b"abc",
        OK + b"a: " + b"b" * HEAD_KEPT_BYTES_MAX + b"\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_only_heads_of_sized_answers_on_kept_connections_are_known(answer: bytes) -> None:
    """What ends otherwise, or is long, is read by the parser each time."""
    heads = KnownHeads()
    read_to_end(answer, heads)
    at = answer.find(b"\r\n\r\n") + 4
    assert heads.get(answer[:at]) is None


def test_bytes_after_an_answer_with_a_known_head_are_noticed() -> None:
    """They are whether they come with the answer, or with the last piece of its body."""
    heads = KnownHeads()
    read_to_end(SIZED + b"abc", heads)
    with_it = read_to_end(SIZED + b"abcX", heads)
    behind = read_to_end(SIZED + b"a", heads)
    assert (behind.complete, behind.buffered_bytes) == (False, 1)
    behind.feed(b"bcX")
    for reader in (with_it, behind):
        assert (reader.complete, reader.surplus, reader.take()) == (True, True, b"abc")


def test_line_ends_behind_an_answer_change_nothing_of_it() -> None:
    """Whether the connection is kept may turn on how they came, and never what was answered."""
    heads = KnownHeads()
    parsed = read_to_end(SIZED + b"ab", heads)
    known = read_to_end(SIZED + b"ab", heads)
    behind = read_to_end(SIZED + b"abc", heads)
    for reader, rest in ((parsed, b"c\r\n"), (known, b"c\r\n"), (behind, b"\r\n")):
        reader.feed(rest)
        assert (reader.complete, reader.take(), reader.status) == (True, b"abc", 200)
    assert [one.surplus for one in (parsed, known, behind)] == [False, True, True]


def test_few_heads_are_known_and_none_once_forgotten() -> None:
    """What is known is bounded, and ends."""
    heads = KnownHeads()
    answers = [
        OK + b"x-a: %d\r\ncontent-length: 0\r\n\r\n" % number
        for number in range(HEADS_KEPT_MAX + 1)
    ]
    for answer in answers:
        read_to_end(answer, heads)
    known = [heads.get(answer) is not None for answer in answers]
    assert known == [True] * HEADS_KEPT_MAX + [False]
    heads.forget()
    assert not any(heads.get(answer) for answer in answers)
