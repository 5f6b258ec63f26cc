"""Proofs and receipts of exchanges over HTTP for auditors, and the receipt key for everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, ParamSpec, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from gateway.access import Permission, Principal, SecretCheck
from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.place import Place
from gateway.audit.publishing.proofs import (
    find_place,
    prove_announcement,
    prove_exchange,
    receipt_of,
)
from gateway.audit.publishing.published import verifier_key
from gateway.audit.search.access import (
    NOT_FOUND,
    AccessLog,
    LogReader,
    Reader,
    Use,
    Via,
    prove_record,
)
from gateway.audit.store import LogUnavailable
from gateway.control.guard import Require, anybody
from gateway.control.public_log import PublicLog
from gateway.control.published import PUBLISHED_PREFIX
from gateway.errors import AuditUnavailable, NotFound

_RECEIPT: Final = "application/jose"
_KEYS: Final = "application/jwk-set+json"
_PROOFS: Final = "application/json"
_PRIVATE: Final = {"Cache-Control": "no-store"}
_SOON_ANOTHER: Final = {"Cache-Control": "public, max-age=300"}
_SHARD: Final = Query(pattern=r"^[0-9]{4}(-[1-9][0-9]{0,3})?$")

P = ParamSpec("P")
T = TypeVar("T")


class UseParameters(BaseModel):
    """The declared use of a reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: Use = Use.INTEGRITY_AND_SECURITY


class ReceiptParameters(UseParameters):
    """The declared use, and which of the exchange's records the receipt is of."""

    kind: Kind | None = None


def proofs_router(
    reader: LogReader, log: AccessLog, secrets: SecretCheck, shared: PublicLog
) -> APIRouter:
    """Return the routes of proofs and receipts: hashes and promises.

    Of what records hold they show an announced key, and in receipts the digests of bodies. What
    strangers may ask for takes its turn in `shared`.
    """
    router = APIRouter(prefix=PUBLISHED_PREFIX, tags=["proofs"])
    auditing = Depends(Require(Permission.READ_ENTRIES, secrets))
    public = [Depends(anybody)]

    @router.get("/exchanges/{exchange_id}/proof", response_class=Response, responses=_is(_PROOFS))
    async def proof(
        exchange_id: UUID,
        asked: Annotated[UseParameters, Query()],
        principal: Principal = auditing,
    ) -> Response:
        """Prove each record of an exchange: its entry, and a C2SP tlog-proof of it.

        A record that no published checkpoint covers yet, which takes about a second, has null for
        a proof. That this was asked for is recorded first.
        """
        place = await _located(reader, log, principal, asked.use, exchange_id)
        text = await _read(prove_exchange, place, exchange_id.bytes)
        return Response(text, media_type=_PROOFS, headers=_PRIVATE)

    @router.get(
        "/exchanges/{exchange_id}/receipt", response_class=Response, responses=_is(_RECEIPT)
    )
    async def receipt(
        exchange_id: UUID,
        asked: Annotated[ReceiptParameters, Query()],
        principal: Principal = auditing,
    ) -> Response:
        """Return the receipt of how an exchange ended, refusals included, or of its `kind`."""
        place = await _located(reader, log, principal, asked.use, exchange_id)
        text = await _read(receipt_of, place, exchange_id.bytes, reader.keys, kind=asked.kind)
        if text is None:
            raise NotFound(f"Exchange {exchange_id} has no record of this kind.")
        return Response(text, media_type=_RECEIPT, headers=_PRIVATE)

    @router.get("/receipt-keys", response_class=Response, responses=_is(_KEYS), dependencies=public)
    async def receipt_keys() -> Response:
        """Return the public key of receipts as a JWK Set (RFC 7517)."""
        key = await shared.read(lambda: _receipt_key(shared.place(None), reader.keys))
        keys = KeySet(keys=[key])
        return Response(keys.model_dump_json(), media_type=_KEYS, headers=_SOON_ANOTHER)

    @router.get(
        "/receipt-keys/announced",
        response_class=Response,
        responses=_is(_PROOFS),
        dependencies=public,
    )
    async def announced(shard: Annotated[str | None, _SHARD] = None) -> Response:
        """Prove that the log itself announces the receipt key, in a shard or the newest one."""
        text = await shared.read(lambda: _announcement(shared.place(shard), reader.keys))
        return Response(text, media_type=_PROOFS, headers=_SOON_ANOTHER)

    return router


class KeySet(BaseModel):
    """A JWK Set (RFC 7517, section 5)."""

    keys: list[dict[str, str]]


def _is(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {}}}}


async def _located(
    reader: LogReader, log: AccessLog, principal: Principal, use: Use, exchange: UUID
) -> Place:
    """Record who asks, then find the exchange's shard."""
    who = Reader(principal=principal.name, via=Via.API)
    try:
        await log.append(prove_record(who, use, exchange.bytes))
    except LogUnavailable:
        raise AuditUnavailable("Reading the log is recorded in it, and it cannot be now.") from None
    place = await _read(find_place, reader.directory, exchange.bytes)
    if place is None:
        raise NotFound(f"Exchange {exchange} {NOT_FOUND}.")
    return place


def _receipt_key(place: Place, keys: LogKeys) -> dict[str, str]:
    origin = verifier_key(place).partition("+")[0]
    return keys.receipt_signer(origin).jwk()


def _announcement(place: Place, keys: LogKeys) -> str:
    try:
        return prove_announcement(place, _receipt_key(place, keys)["x"])
    except LookupError as absent:
        raise NotFound(f"{str(absent).capitalize()}.") from None


async def _read(reading: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read the log in a thread."""
    try:
        return await run_in_threadpool(reading, *args, **kwargs)
    except LogUnavailable:
        raise AuditUnavailable("The audit log cannot be read now.") from None
    except LookupError as absent:
        raise NotFound(f"{str(absent).capitalize()}.") from None
