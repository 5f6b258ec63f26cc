"""The one check that every route of the control listener passes: who asks, and may they."""

from __future__ import annotations

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from gateway.access import Permission, Principal, SecretCheck, authenticate
from gateway.errors import CredentialsInvalid, PermissionMissing


class Require:
    """A dependency that names the permission of a route and returns who was let in.

    Permission is checked before anything is looked up, so that a 404 tells a stranger nothing.
    """

    def __init__(self, permission: Permission, secrets: SecretCheck) -> None:
        """Ask for `permission`; `secrets` knows the bootstrap secret."""
        self.permission = permission
        self._secrets = secrets

    async def __call__(self, request: Request) -> Principal:
        """Return the caller, or raise the error that says why not."""
        fields = request.headers.getlist("authorization")
        if len(fields) > 1:
            raise CredentialsInvalid("Send one Authorization field.")
        field = fields[0] if fields else None
        principal = await run_in_threadpool(authenticate, field, self._secrets)
        if not principal.may(self.permission):
            raise PermissionMissing(f"This needs the permission {self.permission}.")
        return principal


async def anybody() -> None:
    """Let everybody in: the dependency of routes whose permission is `Permission.PUBLIC`."""
