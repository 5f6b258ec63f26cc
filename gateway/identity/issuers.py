"""The signing keys of the issuers we trust: fetched beside the traffic, bounded, never on trust."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from connectors.fetch import FetchFailed, fetch_json
from gateway import clock
from gateway.identity.caller import IssuerProfile
from gateway.identity.keys import KeyRefused, VerificationKey, import_key

FETCH_TIMEOUT_S: Final = 5.0
METADATA_BYTES_MAX: Final = 65_536
KEY_SET_BYTES_MAX: Final = 524_288
KEYS_MAX: Final = 100
URL_CHARACTERS_MAX: Final = 2_048
FRESH_S_MIN: Final = 30.0
FRESH_S_DEFAULT: Final = 300.0
FRESH_S_MAX: Final = 600.0
STALE_S_MAX: Final = 3_600.0
"""How long the last good keys stand in while their source cannot be read."""
COOL_DOWN_S: Final = 5.0
"""The shortest time between two attempts at one issuer, whatever is asked for."""


class KeySourceUnavailable(Exception):
    """An issuer's keys cannot be had, and none are held that are young enough to be used."""


class KeySetRefused(Exception):
    """What an issuer serves as its metadata or key set cannot be used."""


@dataclass(slots=True)
class _Held:
    """What is held of one issuer; times are monotonic seconds."""

    metadata_url: str | None
    keys: Mapping[str, VerificationKey] = field(default_factory=dict)
    fresh_until_s: float = -math.inf
    usable_until_s: float = -math.inf
    attempted_at_s: float = -math.inf
    refresh: asyncio.Task[None] | None = None


class KeySource:
    """Keys of each issuer, by issuer and `kid`; no issuer's key can stand in for another's.

    Keys that are held are used at once; when they are no longer fresh, one refresh runs beside the
    traffic. A caller waits only where nothing is held, or for a `kid` that is not. There is one
    refresh at a time for an issuer, and one per `COOL_DOWN_S`, so that made-up `kid`s cost it
    nothing. After `STALE_S_MAX` without a good answer the keys are used no more (fail closed).
    """

    def __init__(
        self,
        *,
        withdrawn: Callable[[str, str], None],
        allow_loopback_http: bool,
        monotonic_s: Callable[[], float] = clock.monotonic_s,
    ) -> None:
        """Tell `withdrawn` of (issuer, kid) once a key is gone from its issuer's set.

        `allow_loopback_http` is for the demo and tests; all else is fetched over TLS.
        """
        self._withdrawn = withdrawn
        self._allow_loopback_http = allow_loopback_http
        self._monotonic_s = monotonic_s
        self._held: dict[str, _Held] = {}

    def usable(self, profile: IssuerProfile) -> bool:
        """Tell whether keys are held that may be used now; start a refresh where it is due.

        Needs a running event loop.
        """
        held = self._held.get(profile.issuer)
        if held is None or held.metadata_url != profile.metadata_url:
            return False
        now_s = self._monotonic_s()
        if now_s >= held.fresh_until_s:
            self._start_refresh(profile, held)
        return now_s < held.usable_until_s

    async def key(self, profile: IssuerProfile, key_id: str) -> VerificationKey | None:
        """Return the issuer's key of that id, or None if its newest set has none.

        Raises:
            KeySourceUnavailable: if the issuer's keys cannot be had.
        """
        if not self.usable(profile):
            await self._refreshed(profile)
            if not self.usable(profile):
                raise KeySourceUnavailable(profile.issuer)
        if key_id not in self._held[profile.issuer].keys:
            await self._refreshed(profile)
        return self._held[profile.issuer].keys.get(key_id)

    async def aclose(self) -> None:
        """Stop the refreshes that are under way."""
        tasks = [held.refresh for held in self._held.values() if held.refresh is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refreshed(self, profile: IssuerProfile) -> None:
        """Wait for the refresh that is under way, or for a new one if it may start."""
        held = self._held.get(profile.issuer)
        if held is None or held.metadata_url != profile.metadata_url:
            # Keys of a source that is configured no more are not carried over.
            for key_id in () if held is None else held.keys:
                self._withdrawn(profile.issuer, key_id)
            held = self._held[profile.issuer] = _Held(profile.metadata_url)
        self._start_refresh(profile, held)
        if held.refresh is not None:
            # Shielded: a caller who leaves must not stop what others wait for.
            await asyncio.shield(held.refresh)

    def _start_refresh(self, profile: IssuerProfile, held: _Held) -> None:
        if held.refresh is not None and not held.refresh.done():
            return
        held.refresh = None
        now_s = self._monotonic_s()
        if now_s - held.attempted_at_s >= COOL_DOWN_S:
            held.attempted_at_s = now_s
            held.refresh = asyncio.get_running_loop().create_task(self._refresh(profile, held))

    async def _refresh(self, profile: IssuerProfile, held: _Held) -> None:
        """Fetch the set and swap it in; a set that cannot be used leaves the last good one."""
        try:
            published = await fetch_keys(
                profile.issuer,
                profile.metadata_url,
                allow_loopback_http=self._allow_loopback_http,
            )
        except (FetchFailed, KeySetRefused):
            return
        now_s, keys = self._monotonic_s(), published.keys
        fresh_s = FRESH_S_DEFAULT if published.max_age_s is None else published.max_age_s
        before, held.keys = held.keys, keys
        held.fresh_until_s = now_s + min(max(fresh_s, FRESH_S_MIN), FRESH_S_MAX)
        held.usable_until_s = now_s + STALE_S_MAX
        for key_id, key in before.items():
            if key_id not in keys or keys[key_id].thumbprint != key.thumbprint:
                self._withdrawn(profile.issuer, key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What an issuer publishes: its usable keys by `kid`, and how long they hold if it says so.

    `date` is the Date field of its metadata's answer, as it came (RFC 9110, section 6.6.1).
    """

    keys: Mapping[str, VerificationKey]
    max_age_s: float | None
    date: str


async def fetch_keys(
    issuer: str, metadata_url: str | None, *, allow_loopback_http: bool
) -> Published:
    """Read an issuer's metadata, then the key set it names (RFC 8414, sections 3 and 2).

    Raises:
        FetchFailed: if either cannot be read.
        KeySetRefused: if either cannot be used; a mix-up of issuers shows here.
    """
    metadata = await fetch_json(
        metadata_url or metadata_url_of(issuer),
        allow_loopback_http=allow_loopback_http,
        bytes_max=METADATA_BYTES_MAX,
        timeout_s=FETCH_TIMEOUT_S,
    )
    match metadata.value:
        # RFC 8414, section 3.3: the issuer must be identical to the one that was asked.
        case {"issuer": said, "jwks_uri": str(key_set_url)} if said == issuer and _is_url(
            key_set_url
        ):
            pass
        case _:
            raise KeySetRefused("the metadata is not the issuer's, or names no key set")
    key_set = await fetch_json(
        key_set_url,
        allow_loopback_http=allow_loopback_http,
        bytes_max=KEY_SET_BYTES_MAX,
        timeout_s=FETCH_TIMEOUT_S,
    )
    return Published(
        keys=read_key_set(key_set.value), max_age_s=key_set.max_age_s, date=metadata.date
    )


def _is_url(text: str) -> bool:
    return len(text) <= URL_CHARACTERS_MAX and text.isascii() and text.isprintable()


def metadata_url_of(issuer: str) -> str:
    """Return the URL of an issuer's metadata (RFC 8414, section 3.1)."""
    parts = urlsplit(issuer)
    path = "/.well-known/oauth-authorization-server" + parts.path.removesuffix("/")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def read_key_set(key_set: object) -> Mapping[str, VerificationKey]:
    """Return the usable keys of a JWK set by `kid` (RFC 7517, section 5).

    A key that is not sound, not for signatures, or without `kid` is left out and the others are
    used. Keys that share a `kid` are all left out: it does not tell which is meant.

    Raises:
        KeySetRefused: if it is no key set, has more than `KEYS_MAX` keys, or none that is usable.
    """
    match key_set:
        case {"keys": [*jwks]} if len(jwks) <= KEYS_MAX:
            pass
        case _:
            raise KeySetRefused("not a key set, or too many keys in it")
    keys: dict[str, VerificationKey] = {}
    uses: Counter[str] = Counter()
    for jwk in jwks:
        try:
            key = import_key(jwk)
        except KeyRefused:
            continue
        if key.key_id:
            keys[key.key_id] = key
            uses[key.key_id] += 1
    keys = {key_id: key for key_id, key in keys.items() if uses[key_id] == 1}
    if not keys:
        raise KeySetRefused("no usable key in the key set")
    return keys
