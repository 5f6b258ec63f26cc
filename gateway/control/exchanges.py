"""Exchanges over the API: searching the audit log, every reading of which is recorded in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, ParamSpec, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.access import Permission, Principal, SecretCheck
from gateway.audit.entry import Kind, Record
from gateway.audit.people import PersonInvalid
from gateway.audit.search.access import (
    NOT_FOUND,
    AccessLog,
    LogReader,
    Reader,
    Use,
    Via,
    find_record,
    show_record,
)
from gateway.audit.search.index import INDEX_MAX
from gateway.audit.search.query import Filters, in_log_time
from gateway.audit.store import LogUnavailable
from gateway.control.guard import Require
from gateway.errors import AuditUnavailable, MalformedRequest, NotFound

PAGE_EXCHANGES_MAX: Final = 200
"""The most exchanges that one answer lists."""
_PAGE_EXCHANGES: Final = 50
_TEXT_CHARS_MAX: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Text = Annotated[str, Field(max_length=_TEXT_CHARS_MAX)]
P = ParamSpec("P")
T = TypeVar("T")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadParameters(_Model):
    """The declared use of a reading."""

    use: Use = Use.SELF_MONITORING


class FindParameters(ReadParameters):
    """What to look for; every filter that is given must hold."""

    from_: AwareDatetime | None = Field(default=None, alias="from", description="Inclusive.")
    until: AwareDatetime | None = Field(default=None, description="Exclusive.")
    organisation: Text | None = Field(default=None, description="Consumer or provider.")
    consumer: Text | None = None
    provider: Text | None = None
    client: Text | None = None
    actor: Text | None = Field(default=None, description="User: the token's subject.")
    source: Text | None = Field(default=None, description="Source address.")
    token: Text | None = Field(default=None, description="Token identifier (`jti`).")
    person: Text | None = Field(
        default=None,
        description="Somebody it was about, as `type:value`. Better sent in the body of "
        "`/exchanges/search`: addresses are written down on their way.",
    )
    case: Text | None = Field(default=None, description="Case reference of the caller.")
    agreement: Text | None = None
    version: Text | None = Field(default=None, description="Version of the agreement.")
    digest: Text | None = Field(default=None, description="Digest of the agreement's text.")
    rule: Text | None = None
    instrument: Text | None = Field(default=None, description="With or without `@version`.")
    instrument_ended: bool | None = None
    purpose: Text | None = None
    decision: Text | None = None
    reason: Text | None = None
    status: int | None = Field(default=None, ge=100, le=599)
    problem: Text | None = None
    service: Text | None = None
    dataset: Text | None = None
    operation: Text | None = Field(default=None, description="Method and route.")
    route: Text | None = None
    action: Text | None = None
    exemption: Text | None = None
    subject_view: Text | None = None
    opt_out: Text | None = None
    trace: Text | None = None
    ended: Text | None = Field(default=None, description="Kind of the last record.")
    alert: bool | None = None
    break_glass: bool | None = None
    leak: bool | None = None
    end_unproved: bool | None = None
    document: Text | None = None
    verb: Text | None = None
    note: Text | None = None
    about: Text | None = None
    kind: Kind | None = Field(default=None, description="Records of another kind than exchanges.")
    cursor: int | None = Field(default=None, ge=0, le=INDEX_MAX)
    limit: int = Field(default=_PAGE_EXCHANGES, ge=1, le=PAGE_EXCHANGES_MAX)

    def filters(self, reader: LogReader) -> Filters:
        """Return what the search asks of an exchange; of a person the tags alone."""
        same = self.model_dump(exclude={"use", "cursor", "limit", "from_", "until", "person"})
        try:
            person = reader.seek(self.person) if self.person is not None else None
        except PersonInvalid as invalid:
            raise MalformedRequest(f"person: {invalid}.") from None
        return Filters(
            from_us=_microseconds(self.from_),
            until_us=_microseconds(self.until),
            person=person,
            **same,
        )


class Indexed(_Model):
    """How far the search index has come: what was recorded later is not found yet."""

    next_index: int
    at: int = Field(description="Time of the last indexed record, in microseconds since 1970.")


class ExchangeList(_Model):
    """A page of exchanges, newest first."""

    exchanges: list[dict[str, Any]]
    cursor: int | None = Field(description="Send it back to get the next page.")
    indexed: Indexed


def exchanges_router(reader: LogReader, log: AccessLog, secrets: SecretCheck) -> APIRouter:
    """Return the routes that read the audit log."""
    reading = Depends(Require(Permission.READ_EXCHANGES, secrets))
    router = APIRouter(prefix="/exchanges", tags=["exchanges"])

    async def find_page(asked: FindParameters, principal: Principal) -> ExchangeList:
        filters = await _read(asked.filters, reader)
        await _record(log, find_record(_reader(principal), asked.use, filters))
        page = await _read(reader.find, filters, cursor=asked.cursor, limit=asked.limit)
        mark = Indexed(next_index=page.watermark.next_index, at=page.watermark.at_us)
        return ExchangeList(exchanges=list(page.items), cursor=page.cursor, indexed=mark)

    @router.get("")
    async def find_exchanges(
        asked: Annotated[FindParameters, Query()], principal: Principal = reading
    ) -> ExchangeList:
        """Search the exchanges; the reading is recorded before anything is shown."""
        return await find_page(asked, principal)

    @router.post("/search")
    async def search_exchanges(
        asked: FindParameters, principal: Principal = reading
    ) -> ExchangeList:
        """Search the exchanges with filters in the body, where no address names a person."""
        return await find_page(asked, principal)

    @router.get("/{exchange_id}")
    async def show_exchange(
        exchange_id: UUID,
        asked: Annotated[ReadParameters, Query()],
        principal: Principal = reading,
    ) -> dict[str, Any]:
        """Show one exchange, its records merged; the reading is recorded before it is shown."""
        await _record(log, show_record(_reader(principal), asked.use, exchange_id.bytes))
        found = await _read(reader.show, exchange_id.bytes)
        if found is None:
            raise NotFound(f"Exchange {exchange_id} {NOT_FOUND}.")
        return found

    return router


async def _read(reading: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read the log in a thread."""
    try:
        return await run_in_threadpool(reading, *args, **kwargs)
    except LogUnavailable:
        raise AuditUnavailable("The audit log cannot be read now.") from None


async def _record(log: AccessLog, record: Record) -> None:
    """Write down who reads the log and for what; without that record nothing is shown."""
    try:
        await log.append(record)
    except LogUnavailable:
        raise AuditUnavailable("Reading the log is recorded in it, and it cannot be now.") from None


def _reader(principal: Principal) -> Reader:
    return Reader(principal=principal.name, via=Via.API)


def _microseconds(at: datetime | None) -> int | None:
    return None if at is None else in_log_time((at - _EPOCH) // timedelta(microseconds=1))
