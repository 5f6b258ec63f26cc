"""Exports over the API: records streamed out of the log, which is recorded in it first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.access import Permission, Principal, SecretCheck
from gateway.audit.access import AccessLog, LogReader, Reader, Use, Via
from gateway.audit.entry import Kind
from gateway.audit.export import MEDIA_TYPES, Export, ExportFormat, export_chunks, export_record
from gateway.audit.reader import find_log
from gateway.audit.selection import Selection
from gateway.audit.store import LogUnavailable
from gateway.control.guard import Require
from gateway.errors import AuditUnavailable

PIECE_BYTES: Final = 65_536
"""About how much of an export is sent at a time."""
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

    @router.get("", response_class=StreamingResponse)
    async def export_log(
        asked: Annotated[ExportParameters, Query()], principal: Principal = reading
    ) -> StreamingResponse:
        """Stream records out of the log; that they leave is recorded before the first byte.

        An NDJSON export ends at the newest checkpoint and can be checked offline with
        `concordat audit verify export`. One that breaks off has no checkpoint at its end.
        """
        export = asked.export()
        try:
            path = await run_in_threadpool(find_log, reader.directory)
            by = Reader(principal=principal.name, via=Via.API)
            await log.append(export_record(by, asked.use, export))
            chunks = export_chunks(path, export, reader.keys)
            first = await run_in_threadpool(next, chunks, b"")
        except LogUnavailable:
            raise AuditUnavailable("The audit log cannot be exported now.") from None
        return StreamingResponse(_joined(first, chunks), media_type=MEDIA_TYPES[export.format])

    return router


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
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)
