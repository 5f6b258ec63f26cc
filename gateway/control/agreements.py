"""Agreements over the API: what is in force, and every version that ever was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.access import Permission
from gateway.control.guard import Require
from gateway.errors import NotFound
from gateway.registry.configuration import Kind
from gateway.registry.store import Registry, State, StopKind


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AgreementSummary(_Model):
    """One agreement as lists show it."""

    agreement_id: str
    version: int
    title: str
    kind: str
    status: str = Field(description="The status in the document; see `stopped` too.")
    stopped: bool = Field(description="Whether the gateway refuses its calls, whatever the status.")
    parties: list[str]
    purposes: list[str]
    digest: str = Field(description="SHA-256 of the document's canonical form (RFC 8785).")
    since_revision: int


class AgreementList(_Model):
    """The agreements in force."""

    agreements: list[AgreementSummary]


class AgreementVersion(_Model):
    """One state that the document was in, between two revisions of the configuration."""

    version: int
    digest: str
    since_revision: int
    until_revision: int | None = Field(description="The revision that replaced or removed it.")


class AgreementDetail(_Model):
    """One agreement with its document and its history, newest first."""

    agreement_id: str
    stopped: bool
    present: bool = Field(description="Whether the newest version is still in the configuration.")
    document: dict[str, Any]
    history: list[AgreementVersion]


def agreements_router(registry: Registry) -> APIRouter:
    """Return the routes that read agreements from the registry."""
    reading = Require(Permission.READ_AGREEMENTS, registry)
    router = APIRouter(prefix="/agreements", tags=["agreements"], dependencies=[Depends(reading)])

    @router.get("")
    async def list_agreements() -> AgreementList:
        """List the agreements in force."""
        states = await run_in_threadpool(registry.present, Kind.AGREEMENT)
        stops = await run_in_threadpool(registry.stops)
        return AgreementList(agreements=[_summary(state, stops) for state in states])

    @router.get("/{agreement_id}")
    async def show_agreement(agreement_id: str) -> AgreementDetail:
        """Show one agreement and every version it had."""
        history = await run_in_threadpool(registry.history, Kind.AGREEMENT, agreement_id)
        if not history:
            raise NotFound("There is no agreement with this id.")
        stops = await run_in_threadpool(registry.stops)
        return AgreementDetail(
            agreement_id=agreement_id,
            stopped=(StopKind.AGREEMENT, agreement_id) in stops,
            present=history[0].until is None,
            document=dict(history[0].document),
            history=[_version(state) for state in history],
        )

    return router


def _summary(state: State, stops: frozenset[tuple[str, str]]) -> AgreementSummary:
    # Only documents that the reader of agreements accepted are in the registry.
    document = cast("Mapping[str, Any]", state.document)
    return AgreementSummary(
        agreement_id=document["agreement_id"],
        version=document["version"],
        title=document["title"],
        kind=document["kind"],
        status=document["status"],
        stopped=(StopKind.AGREEMENT, document["agreement_id"]) in stops,
        parties=[party["ref"] for party in document["parties"]],
        purposes=document["purpose"]["codes"],
        digest=state.digest,
        since_revision=state.since,
    )


def _version(state: State) -> AgreementVersion:
    return AgreementVersion(
        version=cast("int", state.document["version"]),
        digest=state.digest,
        since_revision=state.since,
        until_revision=state.until,
    )
