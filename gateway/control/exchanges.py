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
from gateway.audit.access import (
    NOT_FOUND,
    AccessLog,
    LogReader,
    Reader,
    Use,
    Via,
    find_record,
    show_record,
)
from gateway.audit.entry import Kind, Record
from gateway.audit.search import Filters
from gateway.audit.store import LogUnavailable
from gateway.control.guard import Require
from gateway.errors import AuditUnavailable, NotFound

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
    client: Text | None = None
    agreement: Text | None = None
    purpose: Text | None = None
    decision: Text | None = None
    reason: Text | None = None
    status: int | None = None
    service: Text | None = None
    route: Text | None = None
    alert: bool | None = None
    kind: Kind | None = Field(default=None, description="Records of another kind than exchanges.")
    cursor: int | None = Field(default=None, ge=0)
    limit: int = Field(default=_PAGE_EXCHANGES, ge=1, le=PAGE_EXCHANGES_MAX)

    def filters(self) -> Filters:
        """Return what the search asks of an exchange."""
        same = self.model_dump(exclude={"use", "cursor", "limit", "from_", "until"})
        return Filters(
            from_us=_microseconds(self.from_), until_us=_microseconds(self.until), **same
        )


class ExchangeList(_Model):
    """A page of exchanges, newest first."""

    exchanges: list[dict[str, Any]]
    cursor: int | None = Field(description="Send it back to get the next page.")


def exchanges_router(reader: LogReader, log: AccessLog, secrets: SecretCheck) -> APIRouter:
    """Return the routes that read the audit log."""
    reading = Depends(Require(Permission.READ_EXCHANGES, secrets))
    router = APIRouter(prefix="/exchanges", tags=["exchanges"])

    @router.get("")
    async def find_exchanges(
        asked: Annotated[FindParameters, Query()], principal: Principal = reading
    ) -> ExchangeList:
        """Search the exchanges; the reading is recorded before anything is shown."""
        filters = asked.filters()
        await _record(log, find_record(_reader(principal), asked.use, filters))
        page = await _read(reader.find, filters, cursor=asked.cursor, limit=asked.limit)
        return ExchangeList(exchanges=list(page.items), cursor=page.cursor)

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
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)
