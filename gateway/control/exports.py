"""Exports over the API: records streamed out of the log, which is recorded in it first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from gateway.access import Permission, Principal, SecretCheck
from gateway.audit.entry import Kind
from gateway.audit.exports.export import (
    MEDIA_TYPES,
    Export,
    ExportFormat,
    export_chunks,
    export_parts,
    export_record,
)
from gateway.audit.exports.selection import Selection
from gateway.audit.reading.reader import find_log
from gateway.audit.search.access import AccessLog, LogReader, Reader, Use, Via
from gateway.audit.search.query import in_log_time
from gateway.audit.store import LogUnavailable
from gateway.control.guard import Require
from gateway.errors import AuditUnavailable

PIECE_BYTES: Final = 65_536
"""About how much of an export is sent at a time."""
PIECE_S_MAX: Final = 60
"""How long, in seconds, whoever fetches an export may leave a piece untaken; then it breaks off."""
EXPORTS_MAX: Final = 4
"""Exports under way at once: each of them opens the log, and reads as fast as it is taken."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT_CHARS_MAX: Final = 200

Text = Annotated[str, Field(max_length=_TEXT_CHARS_MAX)]


class ExportParameters(BaseModel):
    """What to export, in which form and for what; every filter that is given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["ndjson", "csv", "ocsf", "fhir"] = "ndjson"
    use: Use = Use.SELF_MONITORING
    personal: bool = Field(default=False, description="Open personal sections.")
    from_: AwareDatetime | None = Field(default=None, alias="from", description="Inclusive.")
    until: AwareDatetime | None = Field(default=None, description="Exclusive.")
    organisation: Text | None = Field(default=None, description="Consumer or provider.")
    agreement: Text | None = None
    purpose: Text | None = None
    decision: Text | None = None
    reason: Text | None = None
    service: Text | None = None
    kind: Kind | None = Field(default=None, description="Records of one kind only.")

    def export(self) -> Export:
        """Return the export that is asked for."""
        same = self.model_dump(exclude={"format", "use", "personal", "from_", "until"})
        selection = Selection(
            from_us=_microseconds(self.from_), until_us=_microseconds(self.until), **same
        )
        return Export(selection=selection, format=ExportFormat(self.format), personal=self.personal)


def exports_router(reader: LogReader, log: AccessLog, secrets: SecretCheck) -> APIRouter:
    """Return the route that exports the audit log."""
    reading = Depends(Require(Permission.READ_EXCHANGES, secrets))
    router = APIRouter(prefix="/exports", tags=["exchanges"])
    slots = asyncio.Semaphore(EXPORTS_MAX)

    @router.get("", response_class=StreamingResponse)
    async def export_log(
        asked: Annotated[ExportParameters, Query()], principal: Principal = reading
    ) -> StreamingResponse:
        """Stream records out of the log; that they leave is recorded before the first byte.

        An NDJSON export ends at the newest checkpoint of each shard and can be checked offline with
        `concordat audit verify export`. One that breaks off has no checkpoint at its end; it does
        if nothing of it is taken for a minute. A few are under way at once, another is a 503.
        """
        export = asked.export()
        if slots.locked():
            raise AuditUnavailable(f"{EXPORTS_MAX} exports are under way; ask again after one.")
        async with AsyncExitStack() as stack:
            await slots.acquire()
            stack.callback(slots.release)
            try:
                await run_in_threadpool(find_log, reader.directory)
                by = Reader(principal=principal.name, via=Via.API)
                await log.append(export_record(by, asked.use, export))
                parts = await run_in_threadpool(export_parts, reader.directory, export)
                chunks = export_chunks(parts, export, reader.keys)
                stack.push_async_callback(run_in_threadpool, chunks.close)
                first = await run_in_threadpool(next, chunks, b"")
            except LogUnavailable:
                raise AuditUnavailable("The audit log cannot be exported now.") from None
            return _Export(
                _joined(first, chunks),
                held=stack.pop_all(),
                media_type=MEDIA_TYPES[export.format],
            )

    return router


class _Export(StreamingResponse):
    """A stream that gives back what it holds, however it ends; nobody may stall it for ever."""

    def __init__(self, pieces: Iterator[bytes], *, held: AsyncExitStack, media_type: str) -> None:
        super().__init__(pieces, media_type=media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(PIECE_S_MAX):
                await send(message)

        async with self._held:
            # Whoever is served sees that the stream is not whole; nobody else need hear of it.
            with suppress(TimeoutError, ClientDisconnect):
                await super().__call__(scope, receive, send_in_time)


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """Yield larger pieces, for each of them is fetched by a thread."""
    pieces, size = [first], len(first)
    for piece in rest:
        pieces.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


def _microseconds(at: datetime | None) -> int | None:
    return None if at is None else in_log_time((at - _EPOCH) // timedelta(microseconds=1))
