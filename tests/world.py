"""A small real world for tests: packaged agreements, an issuer, a scripted service, a log."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from connectors.discovery import open_connector
from connectors.http import HttpSettings
from connectors.scripted import Script, ScriptedService, open_scripted
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import show
from gateway.audit.sqlite import open_database
from gateway.clock import monotonic_s
from gateway.exchange.facts import Exchange
from gateway.exchange.front.bodies import NoBody
from gateway.exchange.front.target import read_target
from gateway.exchange.inquiry import Inquiry, inquire, open_exchange
from gateway.exchange.limits import RateLimiter
from gateway.exchange.messages import FrontRefusal, Request, Response
from gateway.exchange.pipeline import Ports
from gateway.exchange.reception import serve
from gateway.exchange.refused import RefusedTraffic
from gateway.exchange.snapshot import Snapshot, StopList
from gateway.identity.authenticate import Authenticator
from gateway.refresh import compile_snapshot
from gateway.registry.configuration import read_directory
from gateway.registry.documents import Overlay
from gateway.telemetry import Counters, Telemetry
from policies.decision import Duties
from tests.issuing import METADATA_PATH, IssuerServer
from tests.tokens import SigningKey, make_key, make_proof, make_token

PACK: Final = Path(__file__).parents[1] / "gateway" / "demo" / "pack"
BASE_URL: Final = "https://gateway.example"
ORIGIN: Final = "gateway.example/audit/2026"
NIGHT: Final = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
"""A decision time inside the fuel poverty agreement's hours."""
NORTHVALE: Final = "https://idp.northvale.example"
EXAMPLESHIRE: Final = "https://idp.exampleshire.example"
EXF: Final = "https://idp.exf.example"
ISSUERS: Final = {
    METADATA_PATH: NORTHVALE,
    f"{METADATA_PATH}/2": EXAMPLESHIRE,
    f"{METADATA_PATH}/5": EXF,
}
"""Where the one server of the tests tells the metadata of each issuer."""
MATCH_PATH: Final = "/eligibility/v1/fuel-poverty/match"
CSV_PATH: Final = "/open/v1/admissions-monthly.csv"
ROW: Final = {"uprn": "999000000301", "family_name": "Dunmore", "date_of_birth": "1947-06-18"}
ELIGIBLE: Final = {
    **ROW,
    "nino": "QQ000001A",
    "lad_code": "E06999001",
    "benefit_code": "PC_GC",
    "fuel_poverty_eligible": "true",
}


@dataclass
class SetClock:
    """Decision time as the test sets it."""

    at: datetime = NIGHT

    def now(self) -> datetime:
        """Return what was set."""
        return self.at


@dataclass(frozen=True)
class WholeBody:
    """A request body that has arrived whole."""

    content: bytes

    async def read(self, bytes_max: int) -> bytes:
        """Return it."""
        assert len(self.content) <= bytes_max
        return self.content

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield it in one piece."""
        yield self.content


class Caller:
    """A caller who can leave."""

    def __init__(self) -> None:
        """Be there."""
        self.gone = False
        self.callback: Callable[[], object] | None = None

    def left(self) -> bool:
        """Tell whether it left."""
        return self.gone

    def when_left(self, callback: Callable[[], object] | None) -> None:
        """Keep whom to call."""
        self.callback = callback

    def leave(self) -> None:
        """Close the connection."""
        self.gone = True
        if self.callback is not None:
            self.callback()


def json_answer(document: object, *, status: str = "200 OK", more: str = "") -> Script:
    """Script a service's JSON answer."""
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}"
    return [head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body]


def text_answer(body: bytes, media_type: str) -> Script:
    """Script a service's answer in any media type."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return [head.encode() + body]


@dataclass
class World:
    """One gateway's parts, real but for the clock, and a caller who may use them."""

    ports: Ports
    snapshot: Snapshot
    service: ScriptedService
    issuer: IssuerServer
    signing_key: SigningKey
    home: Path
    clock: SetClock
    stops: set[tuple[str, str]]
    stop_list_age_s: float = 0.0
    caller_key: SigningKey = field(default_factory=make_key)

    def token(self, connector: str = "dwp-eligibility", **claims: Any) -> bytes:
        """Make Northvale's token for its nightly match, bound to the caller's key."""
        details = {
            "type": "data_exchange",
            "agreement": "DSA-2026-0003",
            "purpose": "FUEL_POVERTY_ASSISTANCE",
            **claims.pop("details", {}),
        }
        said = {
            "iss": NORTHVALE,
            "org": "gss:E06999001",
            "client_id": "northvale-warm-homes",
            "sub": "northvale-warm-homes",
            "aud": f"{BASE_URL}/{connector}",
            "authorization_details": [{k: v for k, v in details.items() if v is not None}],
            **claims,
        }
        return make_token(self.signing_key, at=self.clock.at, bound_to=self.caller_key, **said)

    def match_request(
        self, rows: Sequence[Mapping[str, str]] = (ROW,), *, query: str = "", **claims: Any
    ) -> Request:
        """Make the request of a nightly match, with a fresh token and proof."""
        body = json.dumps({"batch": list(rows)}).encode()
        return self.post(MATCH_PATH, body, query=query, **claims)

    def post(self, path: str, body: bytes, *, query: str = "", **claims: Any) -> Request:
        """Make a POST of JSON with a fresh token, which says what `claims` say, and its proof."""
        token = self.token(**claims)
        proof = make_proof(self.caller_key, "POST", BASE_URL + path, token, at=self.clock.at)
        headers = {
            "authorization": f"DPoP {token.decode()}",
            "dpop": proof.decode(),
            "content-type": "application/json",
        }
        return make_request("POST", path + query, headers=headers, body=body)

    def get(self, path: str, **claims: Any) -> Request:
        """Make a GET with a fresh token, which says what `claims` say, and a fresh proof."""
        token = self.token(**claims)
        proof = make_proof(self.caller_key, "GET", BASE_URL + path, token, at=self.clock.at)
        headers = {"authorization": f"DPoP {token.decode()}", "dpop": proof.decode()}
        return make_request("GET", path, headers=headers)

    async def send(self, request: Request) -> Response:
        """Carry out one exchange."""
        return await serve(request, lambda: self.snapshot, self.ports)

    def recorded(self, response: Response) -> dict[str, Any]:
        """Return what the audit log says of the exchange that gave `response`."""
        identifier = bytes.fromhex(field_of(response, "exchange-id").replace("-", ""))
        keys = LogKeys(self.home / "keys")
        view = show(find_log(self.home / "audit"), identifier, keys=keys)
        return dict(view) if view is not None else {}

    @property
    def log(self) -> AuditLog:
        """The audit log that exchanges are recorded in."""
        return self.ports.log


@asynccontextmanager
async def open_world(home: Path, scripts: Sequence[Script] = ()) -> AsyncIterator[World]:
    """Open a world in `home` whose one service, behind every connector, plays `scripts`."""
    signing_key = make_key()
    clock, stops = SetClock(), set[tuple[str, str]]()
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(open_scripted(scripts))
        issuer = await stack.enter_async_context(IssuerServer(signing_key))
        snapshot = _snapshot(service.base_url, issuer)
        for path, name in ISSUERS.items():
            issuer.documents[path] = {"issuer": name, "jwks_uri": issuer.issuer + "/jwks.json"}
        settings = HttpSettings(base_url=service.base_url, allow_loopback=True)
        connector = await stack.enter_async_context(open_connector("http", settings))
        log = open_log(home / "audit", origin=ORIGIN, instance="test", keys=LogKeys(home / "keys"))
        await log.start()
        stack.push_async_callback(log.stop)
        refused = RefusedTraffic(log)
        stack.push_async_callback(refused.close)
        ports = Ports(
            authenticator=Authenticator(allow_loopback_http=True),
            log=log,
            clock=clock,
            connectors=dict.fromkeys(snapshot.services, connector),
            stop_list=lambda: StopList(
                entries=frozenset(stops), read_at_s=monotonic_s() - world.stop_list_age_s
            ),
            rates=RateLimiter(),
            refused=refused,
            telemetry=Telemetry(Counters.private()),
            instance="test",
        )
        world = World(
            ports=ports,
            snapshot=snapshot,
            service=service,
            issuer=issuer,
            signing_key=signing_key,
            home=home,
            clock=clock,
            stops=stops,
        )
        yield world


def _snapshot(service_url: str, issuer: IssuerServer) -> Snapshot:
    overlay = Overlay(
        base_urls=dict.fromkeys(
            (
                "nhse-spl", "r9z-safeguarding", "exf-public-protection", "dwp-eligibility",
                "r9z-open", "r9z-fhir", "nv-housing",
            ),
            service_url,
        ),
        metadata_urls={name: issuer.issuer + path for path, name in ISSUERS.items()},
    )  # fmt: skip
    return compile_snapshot(
        read_directory(PACK, overlay=overlay),
        organisation="govuk:synthetic-department-for-work-and-pensions",
        public_base_url=BASE_URL,
        revision=1,
        allow_loopback=True,
    )


def make_request(
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    source: str = "192.0.2.1",
) -> Request:
    """Make a request as the strict front hands it on."""
    read = read_target(target.encode())
    assert not isinstance(read, FrontRefusal)
    return Request(
        method=method,
        target=read,
        headers=tuple((n.encode(), v.encode()) for n, v in (headers or {}).items()),
        host="gateway.example",
        source=source,
        has_body=body is not None,
        body=NoBody() if body is None else WholeBody(body),
    )


def field_of(response: Response, name: str) -> str:
    """Return one header field of a response."""
    return dict(response.headers)[name.encode()].decode()


def document_of(response: Response) -> Any:
    """Return the JSON of a response that is whole."""
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


def freeze(world: World) -> None:
    """Freeze the log as an integrator does that finds it contradicting itself."""
    assert isinstance(world.log.path, Path)
    database = open_database(world.log.path)
    database.execute("UPDATE audit_head SET state = 'frozen'")
    database.close()


async def ask(world: World, **request: Any) -> Inquiry:
    """Inquire about one call of Northvale's; `request` as in `World.match_request`."""
    asked_for = world.match_request(**request)
    stops = StopList(entries=frozenset(), read_at_s=0.0)
    opened = open_exchange(asked_for, world.clock)
    asked = await inquire(
        opened, asked_for, world.snapshot, stops, world.ports.authenticator, log=world.log
    )
    assert isinstance(asked, Inquiry)
    return asked


def without_duties(exchange: Exchange) -> Exchange:
    """Return the exchange with a decision that puts no duty on the body."""
    return replace(exchange, decision=replace(exchange.decision, duties=Duties()))


def reasons(answers: Sequence[Response]) -> list[str]:
    """Return why each call was answered as it was."""
    return ["OK" if one.status == 200 else document_of(one)["reason_code"] for one in answers]


async def other_worker(world: World) -> Ports:
    """Open a second worker's ports on the same log."""
    keys = LogKeys(world.home / "keys")
    log = open_log(world.home / "audit", origin=ORIGIN, instance="other", keys=keys)
    await log.start()
    return replace(world.ports, log=log)
