"""The published log over HTTP: C2SP tlog-tiles, below one prefix for each shard."""

from __future__ import annotations

from email.utils import formatdate
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response
from fastapi import Path as InPath
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from gateway.access import Permission, Principal, SecretCheck
from gateway.audit.publishing.published import published_head, read_tile, verifier_key
from gateway.audit.reading.reader import shard_name
from gateway.audit.search.access import AccessLog, Reader, Via, mirror_record
from gateway.audit.store import LogUnavailable
from gateway.audit.tiles import TILE_WIDTH, TileName, parse_tile_path
from gateway.clock import monotonic_s
from gateway.control.guard import Require, anybody
from gateway.control.public_log import PublicLog
from gateway.errors import AuditUnavailable, NotFound

PUBLISHED_PREFIX: Final = "/audit/v1"
"""What comes before a shard's name in the addresses of checkpoint and tiles."""
MIRROR_RECORD_S: Final = 3600.0
"""A reader who fetches bundle after bundle is recorded once an hour: a record for each bundle
would make the log grow by being read."""
MIRRORS_MAX: Final = 1_000
"""Readers and shards that are remembered as recorded; all are forgotten beyond that."""

_FOREVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_SOON_FULL: Final = {"Cache-Control": "public, max-age=60"}
_FOR_ONE: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
_ASK_AGAIN: Final = {"Cache-Control": "no-cache"}
_OCTETS: Final = "application/octet-stream"
_BINARY: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {_OCTETS: {}}}}

Shard = Annotated[str, InPath(pattern=r"^[0-9]{4}(-[1-9][0-9]{0,3})?$")]


class PublishedShard(BaseModel):
    """A shard of the log, and where its checkpoint and tiles are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    origin: str
    vkey: str = Field(description="Key that signs its checkpoints (C2SP signed-note).")
    monitoring_url: str = Field(description="Path that checkpoint and tile/… come after.")
    size: int = Field(description="Records that the published checkpoint covers.")


class PublishedShards(BaseModel):
    """Every shard of the log, the oldest first; records are added to the last one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shards: list[PublishedShard]


def published_router(public: PublicLog, log: AccessLog, secrets: SecretCheck) -> APIRouter:
    """Return the routes of the published log: hashes for everybody, entries for auditors."""
    router = APIRouter(prefix=PUBLISHED_PREFIX, tags=["published log"])
    mirrors, mirroring = _Mirrors(log), Depends(Require(Permission.READ_ENTRIES, secrets))

    @router.get("", dependencies=[Depends(anybody)])
    async def shards() -> PublishedShards:
        """List the shards with their keys and addresses."""
        return PublishedShards(shards=await public.read(lambda: _listed(public)))

    @router.get(
        "/{shard}/checkpoint", response_class=PlainTextResponse, dependencies=[Depends(anybody)]
    )
    async def checkpoint(shard: Shard) -> PlainTextResponse:
        """Return the newest published checkpoint (C2SP tlog-checkpoint).

        `Last-Modified` is when it was published, again at least every ten minutes.
        """
        head = await public.read(lambda: published_head(public.place(shard)))
        if head is None:
            raise NotFound("Nothing was published yet.")
        at = formatdate(head.published_at_us / 1_000_000, usegmt=True)
        return PlainTextResponse(head.note, headers={**_ASK_AGAIN, "Last-Modified": at})

    @router.get("/{shard}/tile/entries/{index:path}", response_class=Response, responses=_BINARY)
    async def entries(shard: Shard, index: str, principal: Principal = mirroring) -> Response:
        """Return a bundle of entries; that somebody fetches them is recorded, once an hour."""
        name = _tile_name(f"tile/entries/{index}")
        await public.read(lambda: public.place(shard))  # what is not there is not read
        await mirrors.record(principal, shard)
        return await _answer(public, shard, name, _FOR_ONE)

    @router.get(
        "/{shard}/tile/{level}/{index:path}",
        response_class=Response,
        responses=_BINARY,
        dependencies=[Depends(anybody)],
    )
    async def tile(shard: Shard, level: str, index: str) -> Response:
        """Return a hash tile: full ones never change, of the last one any width can be had."""
        name = _tile_name(f"tile/{level}/{index}")
        headers = _FOREVER if name.width == TILE_WIDTH else _SOON_FULL
        return await _answer(public, shard, name, headers)

    return router


async def _answer(
    public: PublicLog, shard: str, name: TileName, headers: dict[str, str]
) -> Response:
    """Answer with a tile or a bundle of a shard."""
    content = await public.read(lambda: read_tile(public.place(shard), name))
    if content is None:
        raise NotFound("The published checkpoint has no such tile.")
    return Response(content, media_type=_OCTETS, headers=headers)


def _listed(public: PublicLog) -> list[PublishedShard]:
    """Return all shards as they are shown."""
    found = []
    for place in public.shards():
        vkey, head = verifier_key(place), published_head(place)
        found.append(
            PublishedShard(
                origin=vkey.partition("+")[0],
                vkey=vkey,
                monitoring_url=f"{PUBLISHED_PREFIX}/{shard_name(place)}",
                size=head.size if head is not None else 0,
            )
        )
    return found


class _Mirrors:
    """Who fetches entries now, and since when that is on record."""

    def __init__(self, log: AccessLog) -> None:
        self._log = log
        self._recorded_s: dict[tuple[str, str], float] = {}

    async def record(self, principal: Principal, shard: str) -> None:
        """Have it on record that `principal` fetches entries; without that nothing is shown."""
        key, now_s = (principal.name, shard), monotonic_s()
        if now_s - self._recorded_s.get(key, -MIRROR_RECORD_S) < MIRROR_RECORD_S:
            return
        reader = Reader(principal=principal.name, via=Via.API)
        try:
            await self._log.append(mirror_record(reader, shard))
        except LogUnavailable:
            text = "Reading the log is recorded in it, and it cannot be now."
            raise AuditUnavailable(text) from None
        if len(self._recorded_s) >= MIRRORS_MAX:
            self._recorded_s.clear()
        self._recorded_s[key] = now_s


def _tile_name(path: str) -> TileName:
    name = parse_tile_path(path)
    if name is None:
        raise NotFound("This is not the path of a tile (C2SP tlog-tiles).")
    return name
