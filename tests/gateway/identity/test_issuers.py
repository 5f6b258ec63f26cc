"""Where keys come from: a real server on loopback, asked seldom, believed only when sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.identity.issuers import (
    COOL_DOWN_S,
    FRESH_S_DEFAULT,
    FRESH_S_MAX,
    FRESH_S_MIN,
    KEYS_MAX,
    STALE_S_MAX,
    KeySetRefused,
    KeySource,
    KeySourceUnavailable,
    metadata_url_of,
    read_key_set,
)
from tests.authenticating import Watch
from tests.issuing import KEYS_PATH, METADATA_PATH, WELL_KNOWN_PATH, IssuerServer
from tests.tokens import key_set, make_key

WAIT_S = 5.0
OLD, NEW = make_key(key_id="old"), make_key(key_id="new")


class World:
    """A key source, the issuer it asks, its clock, and the keys it told of as withdrawn."""

    def __init__(self, server: IssuerServer) -> None:
        """Build a key source beside `server`."""
        self.server = server
        self.watch = Watch()
        self.withdrawn: list[tuple[str, str]] = []
        self.source = KeySource(
            withdrawn=lambda issuer, key_id: self.withdrawn.append((issuer, key_id)),
            allow_loopback_http=True,
            monotonic_s=self.watch,
        )
        self.profile = server.profile()

    async def has(self, key_id: str) -> bool:
        """Tell whether the source has a key of that id."""
        return await self.source.key(self.profile, key_id) is not None

    def spoil(self, path: str, document: object) -> None:
        """Serve `document` at `path`, where SAME stands for the issuer itself."""
        if isinstance(document, dict) and document.get("issuer") == "SAME":
            document = {**document, "issuer": self.server.issuer}
        self.server.documents[path] = document

    async def settled(self) -> None:
        """Wait for the refresh that runs beside the traffic."""
        held = self.source._held[self.profile.issuer]
        if held.refresh is not None:
            await held.refresh


@asynccontextmanager
async def open_world(*keys: Any) -> AsyncIterator[World]:
    """Open an issuer with `keys` and a key source that knows it."""
    async with IssuerServer(*keys) as server:
        world = World(server)
        yield world
        await world.source.aclose()


def play(scene: Callable[[World], Awaitable[None]]) -> None:
    """Play `scene` with an issuer that publishes the old key."""

    async def run() -> None:
        async with open_world(OLD) as world:
            await scene(world)

    asyncio.run(run())


def test_limits_agree() -> None:
    """The times of the key source stand in the order that its promises need."""
    assert COOL_DOWN_S < FRESH_S_MIN < FRESH_S_DEFAULT < FRESH_S_MAX < STALE_S_MAX


def test_finds_keys_by_metadata_and_asks_once() -> None:
    """A hundred callers at once cost one fetch of the metadata and one of the keys."""

    async def scene(world: World) -> None:
        assert not world.source.usable(world.profile)
        assert all(await asyncio.gather(*(world.has("old") for _ in range(100))))
        assert world.source.usable(world.profile)
        assert world.server.requests == {METADATA_PATH: 1, KEYS_PATH: 1}

    play(scene)


def test_without_a_metadata_url_the_well_known_one_is_asked() -> None:
    """RFC 8414, section 3: the issuer's own URL leads to its metadata."""

    async def scene(world: World) -> None:
        plain = world.server.profile(metadata_url=None)
        assert await world.source.key(plain, "old") is not None
        assert world.server.requests == {WELL_KNOWN_PATH: 1, KEYS_PATH: 1}

    play(scene)


def test_t_12_unknown_kids_cost_the_issuer_nothing() -> None:
    """T-12: a thousand made-up kids are answered, with one fetch in each cool-down."""

    async def scene(world: World) -> None:
        assert not any(await asyncio.gather(*(world.has(f"k{n}") for n in range(1_000))))
        assert world.server.requests[KEYS_PATH] == 1
        world.watch.now_s += COOL_DOWN_S
        assert not any(await asyncio.gather(*(world.has(f"k{n}") for n in range(1_000))))
        assert world.server.requests[KEYS_PATH] == 2

    play(scene)


def test_t_42_rotation_needs_no_restart() -> None:
    """T-42: a new key works at once, the old one until it is gone, and that is told."""

    async def scene(world: World) -> None:
        assert await world.has("old")
        world.watch.now_s += COOL_DOWN_S
        world.server.publish(OLD, NEW)
        assert await world.has("new")
        assert await world.has("old")
        assert world.withdrawn == []

        world.server.publish(NEW)
        world.watch.now_s += FRESH_S_DEFAULT
        assert await world.has("old"), "nobody waits for a refresh that runs beside"
        await world.settled()
        assert not await world.has("old")
        assert world.withdrawn == [(world.profile.issuer, "old")]

    play(scene)


def test_a_key_replaced_under_its_kid_is_withdrawn() -> None:
    """Another key under the same kid is another key."""

    async def scene(world: World) -> None:
        assert await world.has("old")
        world.server.publish(make_key(key_id="old"))
        world.watch.now_s += FRESH_S_DEFAULT
        assert world.source.usable(world.profile)
        await world.settled()
        assert world.withdrawn == [(world.profile.issuer, "old")]

    play(scene)


@pytest.mark.parametrize(
    ("max_age", "fresh_s"),
    [
        ("max-age=120", 120.0),
        ("max-age=1", FRESH_S_MIN),
        ("max-age=999999", FRESH_S_MAX),
        ("no-store", FRESH_S_MIN),
    ],
)
def test_freshness_is_the_issuer_s_within_bounds(max_age: str, fresh_s: float) -> None:
    """The issuer says for how long its keys are fresh, between our least and most."""

    async def scene(world: World) -> None:
        world.server.headers = {"cache-control": max_age}
        assert await world.has("old")
        world.watch.now_s = fresh_s - 0.001
        assert world.source.usable(world.profile)
        await world.settled()
        assert world.server.requests[KEYS_PATH] == 1
        world.watch.now_s = fresh_s
        assert world.source.usable(world.profile)
        await world.settled()
        assert world.server.requests[KEYS_PATH] == 2

    play(scene)


BAD_DOCUMENTS = [
    pytest.param(METADATA_PATH, {"issuer": "https://x.example"}, id="T-25-mix-up"),
    pytest.param(METADATA_PATH, {"jwks_uri": "http://127.0.0.1:9/"}, id="T-25-issuer-missing"),
    *(
        pytest.param(METADATA_PATH, {"issuer": "SAME", "jwks_uri": url}, id=f"jwks-uri-{number}")
        for number, url in enumerate(
            [5, "", "file:///etc/passwd", "http://127.0.0.1:9/?\0", "http://127.0.0.1:9/?\ud800"]
        )
    ),
    pytest.param(METADATA_PATH, [], id="metadata-list"),
    pytest.param(METADATA_PATH, None, id="metadata-404"),
    pytest.param(KEYS_PATH, b"<html>", id="T-43-html"),
    pytest.param(KEYS_PATH, {}, id="T-43-empty-object"),
    pytest.param(KEYS_PATH, {"keys": []}, id="T-43-no-keys"),
    pytest.param(KEYS_PATH, {"keys": {}}, id="T-43-keys-object"),
    pytest.param(KEYS_PATH, {"keys": [OLD.jwk] * 10_000}, id="T-43-10000-keys"),
    pytest.param(KEYS_PATH, b"[" * 2_000_000, id="T-43-too-large"),
    pytest.param(KEYS_PATH, b'{"keys":[],"keys":[]}', id="T-43-duplicate-member"),
    pytest.param(KEYS_PATH, {"keys": [OLD.jwk | {"d": "AQ"}]}, id="T-43-private"),
]


@pytest.mark.parametrize(
    ("path", "document"),
    [
        pytest.param(METADATA_PATH, {"issuer": "https://x.example"}, id="T-25-mix-up"),
        pytest.param(KEYS_PATH, b"<html>", id="T-43-html"),
        pytest.param(KEYS_PATH, {"keys": []}, id="T-43-no-keys"),
    ],
)
def test_the_last_good_keys_stand_in_and_not_for_ever(path: str, document: object) -> None:
    """T-43: a source gone bad leaves the last good keys until they are too old, then none."""

    async def scene(world: World) -> None:
        assert await world.has("old")
        good = world.server.documents[path]
        world.spoil(path, document)

        world.watch.now_s = STALE_S_MAX - 1
        assert await world.has("old")
        await world.settled()
        assert world.server.requests[METADATA_PATH] == 2

        world.watch.now_s = STALE_S_MAX + COOL_DOWN_S
        with pytest.raises(KeySourceUnavailable):
            await world.has("old")
        assert not world.source.usable(world.profile)

        world.server.documents[path] = good
        world.watch.now_s += COOL_DOWN_S
        assert await world.has("old")
        assert world.withdrawn == []

    play(scene)


@pytest.mark.parametrize(("path", "document"), BAD_DOCUMENTS)
def test_without_a_good_answer_there_are_no_keys(path: str, document: object) -> None:
    """T-25, T-43: a source that was never good gives nothing, and is asked once per cool-down."""

    async def scene(world: World) -> None:
        world.spoil(path, document)
        for _ in range(3):
            with pytest.raises(KeySourceUnavailable):
                await world.has("old")
        assert world.server.requests[METADATA_PATH] == 1

    play(scene)


def test_t_43_redirects_are_not_followed() -> None:
    """T-43: a source that sends elsewhere is a source that cannot be read."""

    async def scene(world: World) -> None:
        world.server.documents[METADATA_PATH] = {
            "issuer": world.server.issuer,
            "jwks_uri": "http://169.254.169.254/latest",
        }
        with pytest.raises(KeySourceUnavailable):
            await world.has("old")

    play(scene)


def test_plain_http_needs_leave() -> None:
    """T-43: without the demo's leave no issuer is asked over plain HTTP, not even on loopback."""

    async def run() -> None:
        async with IssuerServer(OLD) as server:
            source = KeySource(withdrawn=lambda *_: None, allow_loopback_http=False)
            with pytest.raises(KeySourceUnavailable):
                await source.key(server.profile(), "old")
            assert server.requests == {}
            await source.aclose()

    asyncio.run(run())


def test_a_caller_who_leaves_does_not_stop_the_others() -> None:
    """A refresh goes on for those who wait when the one that started it is cancelled."""

    async def scene(world: World) -> None:
        world.server.gate.clear()
        first, second = (asyncio.Task(world.has("old")) for _ in range(2))
        await asyncio.wait_for(world.server.asked.wait(), WAIT_S)
        first.cancel()
        world.server.gate.set()
        assert await second
        with pytest.raises(asyncio.CancelledError):
            await first

    play(scene)


def test_another_source_for_an_issuer_starts_from_nothing() -> None:
    """Keys of a metadata URL that is configured no more are withdrawn, not carried over."""

    async def scene(world: World) -> None:
        assert await world.has("old")
        moved = world.server.profile(metadata_url=world.server.issuer + "/moved")
        world.server.documents["/moved"] = world.server.documents[METADATA_PATH]
        world.server.publish(NEW)

        assert not world.source.usable(moved)
        assert await world.source.key(moved, "new") is not None
        assert world.withdrawn == [(world.profile.issuer, "old")]

    play(scene)


def test_closing_stops_a_refresh() -> None:
    """Nothing runs on after the key source is closed."""

    async def scene(world: World) -> None:
        world.server.gate.clear()
        waiting = asyncio.Task(world.has("old"))
        await asyncio.wait_for(world.server.asked.wait(), WAIT_S)
        await world.source.aclose()
        world.server.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    play(scene)


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://h.example", "https://h.example/.well-known/oauth-authorization-server"),
        ("https://h.example/", "https://h.example/.well-known/oauth-authorization-server"),
        ("https://h.example:1/t", "https://h.example:1/.well-known/oauth-authorization-server/t"),
    ],
)
def test_metadata_is_found_between_host_and_path(issuer: str, expected: str) -> None:
    """RFC 8414, section 3.1: the well-known path is inserted before the issuer's own."""
    assert expected == metadata_url_of(issuer)


def test_t_43_a_bad_key_does_not_spoil_the_others() -> None:
    """T-43: unsound, foreign and nameless keys are left out, one by one."""
    bad = [
        NEW.jwk | {"x": "AQ"},
        NEW.jwk | {"use": "enc"},
        NEW.public_jwk,
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
        "key",
        None,
    ]

    assert read_key_set({"keys": [*bad, OLD.jwk]}).keys() == {"old"}


def test_t_43_a_kid_that_two_keys_share_names_neither() -> None:
    """T-43: with two usable keys under one kid nobody can tell which is meant."""
    twin = make_key(key_id="old")

    assert read_key_set(key_set(OLD, twin, NEW)).keys() == {"new"}


def test_key_sets_are_bounded() -> None:
    """A set of as many keys as allowed is read, a larger one is refused whole."""
    full = [make_key("Ed25519", f"k{n}").jwk for n in range(KEYS_MAX)]

    assert len(read_key_set({"keys": full})) == KEYS_MAX
    with pytest.raises(KeySetRefused):
        read_key_set({"keys": [*full, OLD.jwk]})
