"""What a record says of the people in an answer."""

from __future__ import annotations

import msgspec
import pytest

from gateway.audit.merkle import leaf_hash, node_hash, root_of
from gateway.exchange.duties.named_people import (
    SUBJECT_BYTES_RECORDED_MAX,
    NamedPeople,
    as_many_as_fit,
    name_people,
)


def root(*people: str) -> bytes:
    """Return the root of an answer about `people`."""
    return name_people(frozenset(people)).root


def test_the_root_of_an_answer_is_a_tree_of_its_people() -> None:
    """One person's root is her leaf; order of arrival makes no difference."""
    assert root("9992000066") == leaf_hash(b"9992000066")
    assert root("a", "b") == root("b", "a") == node_hash(leaf_hash(b"a"), leaf_hash(b"b"))
    assert root("a") != root("a", "b")


def test_a_long_list_is_cut_and_its_root_is_not() -> None:
    """The identifiers that fit are kept in their order, however long they are when written."""
    people = frozenset(f"99920{n:05}" for n in range(20_000))
    named = name_people(people)

    assert named.root == root_of([leaf_hash(person.encode()) for person in sorted(people)])
    assert list(named.ids) == sorted(people)[: len(named.ids)]
    written = len(msgspec.json.encode(named.ids))
    assert SUBJECT_BYTES_RECORDED_MAX - 20 < written <= SUBJECT_BYTES_RECORDED_MAX + 1
    assert as_many_as_fit(["\x00" * SUBJECT_BYTES_RECORDED_MAX]) == ()


@pytest.mark.parametrize("size", [0, 31, 33])
def test_only_a_hash_is_a_root(size: int) -> None:
    """A process that a file took over cannot put anything else into the log."""
    written = msgspec.json.encode(NamedPeople(ids=(), root=bytes(size)))

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(written, type=NamedPeople)
