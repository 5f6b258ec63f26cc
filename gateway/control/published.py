"""The published log over HTTP: C2SP tlog-tiles, below one prefix for each shard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Response
from fastapi import Path as InPath
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.access import Permission, Principal, SecretCheck
from gateway.audit.access import AccessLog, LogReader, Reader, Via, mirror_record
from gateway.audit.place import LogHome, Place
from gateway.audit.published import published_head, read_tile, verifier_key
from gateway.audit.reader import find_shards, shard_name
from gateway.audit.store import LogUnavailable
from gateway.audit.tiles import TILE_WIDTH, TileName, parse_tile_path
from gateway.clock import monotonic_s
from gateway.control.guard import Require, anybody
from gateway.errors import AuditUnavailable, NotFound

PUBLISHED_PREFIX: Final = "/audit/v1"
"""What comes before a shard's name in the addresses of checkpoint and tiles."""
MIRROR_RECORD_S: Final = 3600.0
"""A reader who fetches bundle after bundle is recorded once an hour: a record for each bundle
would make the log grow by being read."""
MIRRORS_MAX: Final = 1_000
"""Readers and shards that are remembered as recorded; all are forgotten beyond that."""
READINGS_AT_ONCE: Final = 8
"""Strangers may ask as often as they like: the rest wait, and leave threads to everybody else."""
SHARDS_KNOWN_S: Final = 5.0
"""How long the list of shards is gone by: a new one begins with the gateway stopped."""

_FOREVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_SOON_FULL: Final = {"Cache-Control": "public, max-age=60"}
_FOR_ONE: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
_ASK_AGAIN: Final = {"Cache-Control": "no-cache"}
_OCTETS: Final = "application/octet-stream"
_BINARY: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {_OCTETS: {}}}}

Shard = Annotated[str, InPath(pattern=r"^[0-9]{4}(-[1-9][0-9]{0,3})?$")]
T = TypeVar("T")


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


def published_router(reader: LogReader, log: AccessLog, secrets: SecretCheck) -> APIRouter:
    """Return the routes of the published log: hashes for everybody, entries for auditors."""
    router = APIRouter(prefix=PUBLISHED_PREFIX, tags=["published log"])
    mirrors, mirroring = _Mirrors(log), Depends(Require(Permission.READ_ENTRIES, secrets))
    published = _Published(reader.directory)

    @router.get("", dependencies=[Depends(anybody)])
    async def shards() -> PublishedShards:
        """List the shards with their keys and addresses."""
        return PublishedShards(shards=await published.read(published.listed))

    @router.get(
        "/{shard}/checkpoint", response_class=PlainTextResponse, dependencies=[Depends(anybody)]
    )
    async def checkpoint(shard: Shard) -> PlainTextResponse:
        """Return the newest published checkpoint (C2SP tlog-checkpoint).

        `Last-Modified` is when it was published, again at least every ten minutes.
        """
        head = await published.read(lambda: published_head(published.place(shard)))
        if head is None:
            raise NotFound("Nothing was published yet.")
        at = formatdate(head.published_at_us / 1_000_000, usegmt=True)
        return PlainTextResponse(head.note, headers={**_ASK_AGAIN, "Last-Modified": at})

    @router.get("/{shard}/tile/entries/{index:path}", response_class=Response, responses=_BINARY)
    async def entries(shard: Shard, index: str, principal: Principal = mirroring) -> Response:
        """Return a bundle of entries; that somebody fetches them is recorded, once an hour."""
        name = _tile_name(f"tile/entries/{index}")
        await published.read(lambda: published.place(shard))  # what is not there is not read
        await mirrors.record(principal, shard)
        return await published.tile(shard, name, _FOR_ONE)

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
        return await published.tile(shard, name, headers)

    return router


class _Published:
    """The shards as strangers read them: in threads, and only so many at once.

    Where the log is in PostgreSQL, to find its shards is a connection too.
    """

    def __init__(self, directory: LogHome) -> None:
        self._directory = directory
        self._turns = asyncio.Semaphore(READINGS_AT_ONCE)
        self._found: tuple[float, list[Place]] | None = None

    async def read(self, reading: Callable[[], T]) -> T:
        """Read the log in a thread; AuditUnavailable where that cannot be."""
        async with self._turns:
            try:
                return await run_in_threadpool(reading)
            except LogUnavailable:
                raise AuditUnavailable("The audit log cannot be read now.") from None

    async def tile(self, shard: str, name: TileName, headers: dict[str, str]) -> Response:
        """Answer with a tile or a bundle of a shard."""
        content = await self.read(lambda: read_tile(self.place(shard), name))
        if content is None:
            raise NotFound("The published checkpoint has no such tile.")
        return Response(content, media_type=_OCTETS, headers=headers)

    def place(self, shard: str) -> Place:
        """Return a shard by its name; called in a thread, as all that follow."""
        for place in self._shards():
            if shard_name(place) == shard:
                return place
        raise NotFound(f"There is no shard {shard}.")

    def listed(self) -> list[PublishedShard]:
        """Return all shards as they are shown."""
        found = []
        for place in self._shards():
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

    def _shards(self) -> list[Place]:
        now_s = monotonic_s()
        if self._found is None or now_s - self._found[0] >= SHARDS_KNOWN_S:
            self._found = now_s, list(find_shards(self._directory))
        return self._found[1]


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
