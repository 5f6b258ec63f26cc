"""Gets tokens and makes calls for the commands: in a demo by its example, elsewhere as told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from gateway.cli.output import Stop
from gateway.clock import system_time_us
from gateway.demo.channel import Answer, Channel, ChannelFailed
from gateway.demo.consumer import (
    Token,
    TokenRefused,
    TokenRequest,
    authorization_details,
    discover_token_endpoint,
    dpop_proof,
    get_token,
)
from gateway.demo.state import (
    ClientExample,
    DemoState,
    NoDemo,
    is_demo,
    open_clock,
    read_key,
    read_state,
)
from gateway.settings import home_of

_WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"
_MICROSECONDS_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line says of the token that is wanted; None where it says nothing."""

    client: str | None
    service: str | None
    resource: str | None
    agreement: str | None
    purpose: str | None
    context: tuple[str, ...]
    on_behalf_of: str | None
    bearer: bool
    issuer: str | None
    metadata_url: str | None
    key: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A token, the key it may be bound to, and the time by which proofs are made."""

    token: Token
    key: ECKey
    now_s: int


def _obtain(channel: Channel, wish: Wish, home: Path | None) -> Held:
    """Get the token that is wished for; raises Stop where that cannot be."""
    try:
        wanted = _from_issuer(channel, wish) if wish.issuer else _from_demo(wish, home)
        request, key, now_s = wanted
        return Held(token=get_token(channel, request, key, now_s), key=key, now_s=now_s)
    except (NoDemo, TokenRefused, ChannelFailed) as failure:
        raise Stop(str(failure), mend="concordat token get --help") from None


def make_call(wish: Wish, home: Path | None, *, method: str, path: str, body: bytes) -> Answer:
    """Make one call; without a client it carries no token. Raises Stop where nobody answers."""
    url = path if _split(path).scheme else _below_gateway(home, path)
    headers = {"content-type": "application/json"} if body else {}
    with Channel() as channel:
        if wish.client is not None:
            headers |= _credentials(_obtain(channel, wish, home), method, url)
        try:
            return channel.send(method, url, headers=headers, body=body)
        except ChannelFailed as failure:
            raise Stop(str(failure), mend="concordat serve, or concordat demo") from None


def get(wish: Wish, home: Path | None) -> Token:
    """Get the token that is wished for; raises Stop where that cannot be."""
    with Channel() as channel:
        return _obtain(channel, wish, home).token


def _credentials(held: Held, method: str, url: str) -> dict[str, str]:
    token = held.token
    if not token.bound:
        return {"authorization": f"Bearer {token.access_token}"}
    proof = dpop_proof(held.key, method, url, now_s=held.now_s, access_token=token.access_token)
    return {"authorization": f"DPoP {token.access_token}", "dpop": proof}


def _below_gateway(home: Path | None, path: str) -> str:
    if not path.startswith("/"):
        raise Stop(f"{path} is no path: a path starts with /", mend=f"write it as /{path}")
    try:
        return read_state(home_of(home)).gateway_url + path
    except NoDemo as none:
        mend = "give the whole URL of what you call, or --home of a running demo"
        raise Stop(str(none), mend=mend) from None


def _from_demo(wish: Wish, home: Path | None) -> tuple[TokenRequest, ECKey, int]:
    directory = home_of(home)
    if not is_demo(directory):
        told = "give --home of a running demo, or --issuer, --key and --resource"
        raise NoDemo(f"{directory} is not the home of a demo; {told}")
    state = read_state(directory)
    if wish.client is None or wish.client not in state.clients:
        raise NoDemo(f"--client is one of: {', '.join(sorted(state.clients))}")
    example = state.clients[wish.client]
    now_s = int(open_clock(directory).now().timestamp())
    request = TokenRequest(
        issuer=example.issuer,
        token_endpoint=state.issuer_addresses.token_endpoint(example.issuer),
        client_id=wish.client,
        resource=_resource(wish, state, example),
        details=authorization_details(
            agreement=wish.agreement or example.agreement,
            purpose=wish.purpose or example.purpose,
            context={**example.context, **_context(wish)},
            on_behalf_of=wish.on_behalf_of,
        ),
        bound=example.bound and not wish.bearer,
        demo_claims={
            "org": example.organisation,
            "sub": example.subject,
            "roles": list(example.roles),
            "acr": example.acr,
        },
    )
    return request, read_key(directory, wish.client), now_s


def _resource(wish: Wish, state: DemoState, example: ClientExample) -> str:
    return wish.resource or f"{state.gateway_url}/{wish.service or example.connector}"


def _from_issuer(channel: Channel, wish: Wish) -> tuple[TokenRequest, ECKey, int]:
    missing = [f"--{name}" for name in ("client", "key", "resource") if getattr(wish, name) is None]
    if missing or wish.issuer is None or wish.key is None:
        raise Stop(f"{', '.join(missing)} is missing", mend="concordat token get --help")
    request = TokenRequest(
        issuer=wish.issuer,
        token_endpoint=discover_token_endpoint(
            channel, wish.issuer, wish.metadata_url or _well_known(wish.issuer)
        ),
        client_id=str(wish.client),
        resource=str(wish.resource),
        details=authorization_details(
            agreement=wish.agreement,
            purpose=wish.purpose,
            context=_context(wish),
            on_behalf_of=wish.on_behalf_of,
        ),
        bound=not wish.bearer,
    )
    return request, _read_key(wish.key), system_time_us() // _MICROSECONDS_PER_SECOND


def _well_known(issuer: str) -> str:
    """Return where an issuer's metadata stand: the path goes behind (RFC 8414, section 3.1)."""
    parts = _split(issuer)
    return f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{parts.path.rstrip('/')}"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise Stop(f"{url} is no URL: {error}", mend="write it as https://host/path") from None


def _read_key(path: Path) -> ECKey:
    try:
        content = path.read_text("utf-8")
        value = json.loads(content) if content.lstrip().startswith("{") else content
        key = ECKey.import_key(value)
    except OSError as error:
        raise Stop(f"{path} cannot be read: {error.strerror}", mend="mend that file") from None
    except (JoseError, ValueError, KeyError, TypeError, RecursionError):
        # TypeError: the key is encrypted, and no password was given.
        mend = "give an EC P-256 private key, JWK or PEM, that is not encrypted"
        raise Stop(f"{path} holds no key", mend=mend) from None
    if not key.is_private or key.curve_name != "P-256":
        raise Stop(f"{path} is not a P-256 private key", mend="give the client's private key")
    return key


def _context(wish: Wish) -> dict[str, str]:
    pairs = [fact.partition("=") for fact in wish.context]
    if not all(separator for _, separator, _ in pairs):
        raise Stop("a context fact is written NAME=VALUE")
    return {name: value for name, _, value in pairs}
