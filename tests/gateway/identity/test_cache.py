"""The memory of verified tokens: bounded, and emptied of a key that is withdrawn."""

from __future__ import annotations

from gateway.identity.cache import CACHED_FIELD_BYTES_MAX, TokenCache, Verified
from gateway.identity.caller import Authenticated
from gateway.identity.claims import read_claims
from tests.tokens import NOW_S, make_claims, make_profile


def verified(issuer: str = "https://a.example", key_id: str = "key-1") -> Verified:
    """Make an entry of a token by `issuer`."""
    claims = read_claims(make_claims(iss=issuer), key_id=key_id, token_hash=b"")
    profile = make_profile(issuer)
    authenticated = Authenticated(claims=claims, profile=profile, bound=False)
    return Verified(authenticated, dpop=False, verified_at_s=NOW_S)


def test_remembers_a_token() -> None:
    """What was put under a field is found under that field only."""
    cache, entry = TokenCache(), verified()
    cache.put(b"token", entry)

    assert cache.get(b"token") is entry
    assert cache.get(b"Token") is None


def test_the_oldest_goes_when_it_is_full() -> None:
    """The cache never holds more than its limit, and a token put anew counts as young."""
    cache = TokenCache(entries_max=2)
    for token in (b"1", b"2", b"1", b"3"):
        cache.put(token, verified())

    assert [token for token in (b"1", b"2", b"3") if cache.get(token)] == [b"1", b"3"]


def test_long_tokens_are_not_kept() -> None:
    """A field beyond the byte limit is verified every time."""
    cache = TokenCache()
    cache.put(b"x" * CACHED_FIELD_BYTES_MAX, verified())
    cache.put(b"y" * (CACHED_FIELD_BYTES_MAX + 1), verified())

    assert cache.get(b"x" * CACHED_FIELD_BYTES_MAX) is not None
    assert cache.get(b"y" * (CACHED_FIELD_BYTES_MAX + 1)) is None


def test_a_withdrawn_key_takes_its_tokens_along() -> None:
    """Tokens of that issuer and kid are forgotten, those of another issuer's same kid are not."""
    cache = TokenCache()
    cache.put(b"1", verified("https://a.example", "k"))
    cache.put(b"2", verified("https://b.example", "k"))
    cache.put(b"3", verified("https://a.example", "other"))
    cache.forget_key("https://a.example", "k")

    assert [token for token in (b"1", b"2", b"3") if cache.get(token)] == [b"2", b"3"]


def test_clear_forgets_everything() -> None:
    """After clearing, every token is verified anew."""
    cache = TokenCache()
    cache.put(b"1", verified())
    cache.clear()

    assert cache.get(b"1") is None
