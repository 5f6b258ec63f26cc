"""Exchanges over the API: searching the audit log, every reading of which is recorded in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, ParamSpec, Protocol, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.access import Permission, Principal, SecretCheck
from gateway.audit.entry import Kind, Record
from gateway.audit.keys import LogKeys
from gateway.audit.reader import find_log
from gateway.audit.search import Filters, Page, View, find, show
from gateway.audit.store import LogUnavailable, Position
from gateway.clock import new_uuid7, system_time_us
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


class Use(StrEnum):
    """Why somebody reads the log; the law knows these uses and no others (DPA 2018, s.62(4))."""

    VERIFY_LAWFULNESS = "verify_lawfulness"
    SELF_MONITORING = "self_monitoring"
    INTEGRITY_AND_SECURITY = "integrity_and_security"
    CRIMINAL_PROCEEDINGS = "criminal_proceedings"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReader:
    """The audit log's read side: its directory, and the keys that open personal sections."""

    directory: Path
    keys: LogKeys

    def find(self, filters: Filters, *, cursor: int | None, limit: int) -> Page:
        """Return a page of exchanges without their personal sections: a list needs none."""
        path = find_log(self.directory)
        # The client's name lies in a personal section, so that only this search opens it.
        keys = self.keys if filters.client is not None else None
        page = find(path, filters, cursor=cursor, limit=limit, keys=keys)
        items = tuple(
            {name: value for name, value in item.items() if name != "sections"}
            for item in page.items
        )
        return replace(page, items=items)

    def show(self, exchange: bytes) -> View | None:
        """Return one exchange with everything that was not erased, or None."""
        return show(find_log(self.directory), exchange, keys=self.keys)


class AccessLog(Protocol):
    """Where readings of the log are recorded; the audit log itself."""

    async def append(self, record: Record) -> Position:
        """Make a record durable; raises LogUnavailable."""


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
        filters = sorted(asked.model_fields_set - {"use", "cursor", "limit"})
        await _record(log, principal, asked.use, {"verb": "find", "filters": filters})
        page = await _read(reader.find, asked.filters(), cursor=asked.cursor, limit=asked.limit)
        return ExchangeList(exchanges=list(page.items), cursor=page.cursor)

    @router.get("/{exchange_id}")
    async def show_exchange(
        exchange_id: UUID,
        asked: Annotated[ReadParameters, Query()],
        principal: Principal = reading,
    ) -> dict[str, Any]:
        """Show one exchange, its records merged; the reading is recorded before it is shown."""
        await _record(log, principal, asked.use, {"verb": "show", "exchange": str(exchange_id)})
        found = await _read(reader.show, exchange_id.bytes)
        if found is None:
            raise NotFound("The log has no exchange with this id.")
        return found

    return router


async def _read(reading: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read the log in a thread."""
    try:
        return await run_in_threadpool(reading, *args, **kwargs)
    except LogUnavailable:
        raise AuditUnavailable("The audit log cannot be read now.") from None


async def _record(
    log: AccessLog, principal: Principal, use: Use, core: Mapping[str, object]
) -> None:
    """Write down who reads the log and for what; without that record nothing is shown.

    Filters are named without their values: a value may be about a person, and `core` is clear.
    """
    record = Record(
        record_id=new_uuid7(),
        kind=Kind.ACCESS,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": {**core, "use": use.value}, "actor": {"principal": principal.name}},
    )
    try:
        await log.append(record)
    except LogUnavailable:
        raise AuditUnavailable("Reading the log is recorded in it, and it cannot be now.") from None


def _microseconds(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)
