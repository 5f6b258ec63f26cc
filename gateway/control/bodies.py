"""How much of a request's body the control listener takes, whoever sends it."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX: Final = 128 * 1024
"""Octets of a body: more than every filter of a search at its longest, in any spelling of JSON."""


class BoundedBodies:
    """Breaks a body off that is too long: it is read, and kept, before anybody asks whose it is."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whoever reads a body beyond the bound gets HTTPException (413)."""
        taken_bytes = 0

        async def receive_bounded() -> Message:
            nonlocal taken_bytes
            message = await receive()
            taken_bytes += len(message.get("body", b""))
            if taken_bytes > BODY_BYTES_MAX:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_bounded, send)
