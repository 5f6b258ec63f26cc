"""The http kind: where it may go, what it takes for a refusal, and how it is probed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connectors.base import Call, CallFailed, Failure, Health
from connectors.credentials import ApiKey, ClientCredentials
from connectors.http import HttpConnector, HttpSettings, RequestIdEcho, open_http
from connectors.origin import BaseUrlInvalid
from connectors.scripted import Act, open_scripted
from connectors.secrets import SecretReference, SecretStore

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def probe(settings: HttpSettings) -> Health:
    """Probe the service of `settings`."""
    async with open_http(settings) as connector:
        return await connector.probe()


async def fetch(settings: HttpSettings, call: Call) -> bytes:
    """Make one call and read its body."""
    async with open_http(settings) as connector:
        reply = await connector.call(call)
        try:
            return await reply.read(1000)
        finally:
            await reply.release()


def test_the_base_path_goes_before_the_target() -> None:
    """A service below a path is called below it, target byte for byte."""

    async def run() -> bytes:
        async with open_scripted(((OK,),)) as service:
            settings = HttpSettings(base_url=service.base_url + "/api/", allow_loopback=True)
            assert await fetch(settings, Call(method="GET", target=b"/p%2fq?r=%20")) == b"ok"
            return service.requests[0]

    assert asyncio.run(run()).startswith(b"GET /api/p%2fq?r=%20 HTTP/1.1\r\nhost: 127.0.0.1:")


def test_loopback_is_denied_unless_told() -> None:
    """U-09: a public-looking name that leads to loopback is refused, nothing sent."""

    async def run() -> tuple[CallFailed, int]:
        async with open_scripted(()) as service:
            settings = HttpSettings(base_url=f"https://localhost:{service.port}")
            with pytest.raises(CallFailed) as caught:
                await fetch(settings, Call(method="GET", target=b"/"))
            return caught.value, service.connections

    failed, connections = asyncio.run(run())
    assert (failed.failure, failed.sent, connections) == (Failure.REFUSED, False, 0)


def test_a_bad_base_url_is_refused_at_opening() -> None:
    """Plain HTTP needs loopback and permission."""
    with pytest.raises(BaseUrlInvalid):
        asyncio.run(probe(HttpSettings(base_url="http://127.0.0.1:1")))


def test_probes_ask_for_nothing() -> None:
    """A probe connects and says so; the service sees no request."""

    async def run() -> tuple[Health, list[bytes]]:
        async with open_scripted(()) as service:
            settings = HttpSettings(base_url=service.base_url, allow_loopback=True)
            return await probe(settings), service.requests

    assert asyncio.run(run()) == (
        Health(healthy=True, detail="The service takes connections."),
        [],
    )


def test_probes_tell_why_not() -> None:
    """A probe of nobody says what the system said."""
    health = asyncio.run(probe(HttpSettings(base_url="http://127.0.0.1:1", allow_loopback=True)))
    assert not health.healthy
    assert health.detail == "No connection to the service: Connection refused (127.0.0.1)."


def kept(directory: Path, name: str, content: str) -> SecretStore:
    """Return a store that holds one secret."""
    path = directory / name
    path.touch(0o600)
    path.write_text(content)
    return SecretStore(directory=directory)


KEY = ApiKey(header="X-Api-Key", secret=SecretReference.parse("file:key"))
NO = b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n"


def token(name: str) -> bytes:
    """Return a token endpoint's answer."""
    body = b'{"access_token": "%s", "token_type": "bearer", "expires_in": 600}' % name.encode()
    kind = b"content-type: application/json\r\n"
    return b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n" % (kind, len(body)) + body


def sent_in(request: bytes, name: bytes) -> list[bytes]:
    """Return the values of a request's fields of a name."""
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return [line.partition(b": ")[2] for line in lines if line.lower().startswith(name + b":")]


def test_the_gateway_s_key_goes_out_and_no_caller_s(tmp_path: Path) -> None:
    """What a call brings in the key's header is refused, whatever it is called by."""

    async def run() -> None:
        async with open_scripted(((OK,),)) as service:
            settings = HttpSettings(
                base_url=service.base_url,
                allow_loopback=True,
                credentials=KEY,
                secrets=kept(tmp_path, "key", "k1\n"),
            )
            async with open_http(settings) as connector:
                forged = Call(method="GET", target=b"/", headers=((b"x-api-key", b"mine"),))
                with pytest.raises(CallFailed) as caught:
                    await connector.call(forged)
                assert (caught.value.failure, caught.value.sent) == (Failure.REFUSED, False)
                await (await connector.call(Call(method="GET", target=b"/"))).release()
            (request,) = service.requests
            assert sent_in(request, b"x-api-key") == [b"k1"]

    asyncio.run(run())


def test_without_its_secret_a_service_is_not_called(tmp_path: Path) -> None:
    """The connector opens all the same: one missing file stops one service, and says which."""

    async def run() -> None:
        async with open_scripted(()) as service:
            settings = HttpSettings(
                base_url=service.base_url,
                allow_loopback=True,
                credentials=KEY,
                secrets=SecretStore(directory=tmp_path),
            )
            async with open_http(settings) as connector:
                with pytest.raises(CallFailed) as caught:
                    await connector.call(Call(method="GET", target=b"/"))
                assert (caught.value.failure, caught.value.sent) == (Failure.REFUSED, False)
                assert "file:key cannot be read" in caught.value.detail
                health = await connector.probe()
                assert not health.healthy
                assert "file:key cannot be read" in health.detail
            assert service.connections == 0

    asyncio.run(run())


def with_tokens(directory: Path, base_url: str, *, issuer: str) -> HttpSettings:
    """Return the settings of a service that asks for a token of an issuer."""
    return HttpSettings(
        base_url=base_url,
        allow_loopback=True,
        credentials=ClientCredentials(
            token_url=issuer + "/token",
            client_id="concordat",
            secret=SecretReference.parse("file:client"),
        ),
        secrets=kept(directory, "client", "SYNTHETIC"),
    )


async def have_an_old_token(connector: HttpConnector) -> None:
    """Have a connector fetch its token, an hour ago."""
    assert connector._keeper is not None
    await connector._keeper.ensure(10)
    connector._keeper._renewed_s -= 3600


@pytest.mark.parametrize(
    ("call", "answered", "tokens"),
    [
        (Call(method="GET", target=b"/"), b"ok", [b"Bearer one", b"Bearer two"]),
        (Call(method="POST", target=b"/", body=b"{}"), None, [b"Bearer one"]),
    ],
    ids=["GET", "POST"],
)
def test_a_token_that_is_refused_is_renewed_once(
    tmp_path: Path, call: Call, answered: bytes | None, tokens: list[bytes]
) -> None:
    """RFC 6750, 3.1: a new token is fetched, and a call that may be repeated goes again with it."""

    async def run() -> None:
        async with (
            open_scripted([(token("one"),), (token("two"),)]) as issuer,
            open_scripted([(NO,), (OK,), (OK,)]) as service,
        ):
            settings = with_tokens(tmp_path, service.base_url, issuer=issuer.base_url)
            async with open_http(settings) as connector:
                await have_an_old_token(connector)
                if answered is None:
                    with pytest.raises(CallFailed, match="does not accept the gateway"):
                        await connector.call(call)
                else:
                    assert await body_of(connector, call) == answered
                assert [sent_in(r, b"authorization")[0] for r in service.requests] == tokens
                assert len(issuer.requests) == 2
                assert await body_of(connector, Call(method="GET", target=b"/")) == b"ok"
                assert sent_in(service.requests[-1], b"authorization") == [b"Bearer two"]

    asyncio.run(run())


def test_a_repeat_that_reaches_nobody_was_sent_all_the_same(tmp_path: Path) -> None:
    """The service has seen the first one, so that what the call used up stays used up."""
    seen: list[bytes] = []
    servers: list[asyncio.Server] = []

    async def answer_and_go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        servers[0].close()
        writer.write(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> None:
        servers.append(await asyncio.start_server(answer_and_go, "127.0.0.1", 0))
        port = servers[0].sockets[0].getsockname()[1]
        async with open_scripted([(token("one"),), (token("two"),)]) as issuer:
            service_url = f"http://127.0.0.1:{port}"
            settings = with_tokens(tmp_path, service_url, issuer=issuer.base_url)
            async with open_http(settings) as connector:
                await have_an_old_token(connector)
                with pytest.raises(CallFailed) as caught:
                    await connector.call(Call(method="GET", target=b"/"))
                assert (caught.value.failure, caught.value.sent) == (Failure.UNREACHABLE, True)
                assert len(seen) == 1

    asyncio.run(run())


def test_a_slow_token_endpoint_is_not_the_service_s_failure(tmp_path: Path) -> None:
    """A call whose time went on its token tells nothing about the service that it then reached."""

    async def give_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.7)  # longer than the share of a second that is the service's to fail
        writer.write(token("late"))
        await writer.drain()
        writer.close()

    async def run() -> None:
        issuer = await asyncio.start_server(give_late, "127.0.0.1", 0)
        port = issuer.sockets[0].getsockname()[1]
        async with issuer, open_scripted([(Act.STALL,)] * 2) as service:
            issuer_url = f"http://127.0.0.1:{port}"
            settings = with_tokens(tmp_path, service.base_url, issuer=issuer_url)
            async with open_http(settings) as connector:
                with pytest.raises(CallFailed):
                    await connector.call(Call(method="GET", target=b"/", deadline_s=1.0))
                assert connector.targets()[0].failures == 0
                assert connector._keeper is not None
                assert await connector._keeper.ensure(10)
                with pytest.raises(CallFailed):
                    await connector.call(Call(method="GET", target=b"/", deadline_s=0.3))
                assert connector.targets()[0].failures == 1

    asyncio.run(run())


async def body_of(connector: HttpConnector, call: Call) -> bytes:
    """Make a call and read its body."""
    reply = await connector.call(call)
    try:
        return await reply.read(100)
    finally:
        await reply.release()


def with_id(*ids: bytes) -> bytes:
    """Return an answer with X-Request-ID fields."""
    fields = b"".join(b"X-Request-ID: %s\r\n" % one for one in ids)
    return b"HTTP/1.1 200 OK\r\n" + fields + b"content-length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("echo", "ids", "good"),
    [
        (RequestIdEcho.CHECKED, (b"r1",), True),
        (RequestIdEcho.CHECKED, (), True),
        (RequestIdEcho.CHECKED, (b"r2",), False),
        (RequestIdEcho.CHECKED, (b"r1", b"r2"), False),
        (RequestIdEcho.REQUIRED, (b"r1",), True),
        (RequestIdEcho.REQUIRED, (), False),
        (RequestIdEcho.IGNORED, (b"r2",), True),
    ],
)
def test_an_answer_to_another_request_is_withheld(
    echo: RequestIdEcho, ids: tuple[bytes, ...], good: bool
) -> None:
    """U-15: a service that echoes request ids shows when it has mixed its answers up."""

    async def run() -> bytes:
        async with open_scripted(((with_id(*ids),),)) as service:
            settings = HttpSettings(base_url=service.base_url, allow_loopback=True, request_id=echo)
            call = Call(method="GET", target=b"/", headers=((b"x-request-id", b"r1"),))
            return await fetch(settings, call)

    if good:
        assert asyncio.run(run()) == b"ok"
    else:
        with pytest.raises(CallFailed, match="to another request") as caught:
            asyncio.run(run())
        assert caught.value.failure is Failure.MALFORMED


def test_a_call_without_an_id_has_none_to_compare() -> None:
    """Nothing was asked to be echoed."""

    async def run() -> bytes:
        async with open_scripted(((with_id(b"r2"),),)) as service:
            settings = HttpSettings(
                base_url=service.base_url,
                allow_loopback=True,
                request_id=RequestIdEcho.REQUIRED,
            )
            return await fetch(settings, Call(method="GET", target=b"/"))

    assert asyncio.run(run()) == b"ok"


def test_several_targets_are_one_service() -> None:
    """Each has its base path, the states are told in order, and a probe names what is down."""

    async def run() -> None:
        async with open_scripted(((OK,),)) as service:
            settings = HttpSettings(
                base_url="http://127.0.0.1:1/a",
                further_urls=(service.base_url + "/b",),
                allow_loopback=True,
            )
            async with open_http(settings) as connector:
                assert await body_of(connector, Call(method="POST", target=b"/x")) == b"ok"
                assert service.requests[0].startswith(b"POST /b/x HTTP/1.1")
                states = connector.targets()
                assert [state.base_url for state in states] == [
                    "http://127.0.0.1:1/a",
                    service.base_url + "/b",
                ]
                assert [state.failures for state in states] == [1, 0]
                health = await connector.probe()
                assert health == Health(
                    healthy=False,
                    detail="No connection to http://127.0.0.1:1/a: Connection refused (127.0.0.1).",
                )

    asyncio.run(run())
