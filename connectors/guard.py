"""Keeps the promise that only CallFailed leaves a connector, whatever its author overlooked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NoReturn

from connectors.base import Call, CallFailed, Connector, Failure, Headers, Health, Reply
from connectors.targets import TargetState


class GuardedConnector:
    """A connector whose stray exceptions become MALFORMED, counted as sent to be on the safe side.

    Only the exception's type is told: its text may hold request content.
    """

    __slots__ = ("_connector", "calls_open")

    def __init__(self, connector: Connector) -> None:
        """Guard `connector`, which whoever opened it closes.

        `calls_open` are the calls under way: from `call` until it fails or its reply is released.
        """
        self._connector = connector
        self.calls_open = 0

    async def call(self, call: Call) -> Reply:
        """Carry out `call` (`Connector.call`)."""
        self.calls_open += 1
        handed_out = False
        try:
            reply = await self._connector.call(call)
            if 200 <= reply.status <= 599:
                handed_out = True
                return GuardedReply(reply, self)
            await reply.release()
        except CallFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the point of this class
            _fail(error)
        finally:
            if not handed_out:
                self.calls_open -= 1
        raise CallFailed(Failure.MALFORMED, "a status that is not 200 to 599", sent=True)

    def targets(self) -> tuple[TargetState, ...]:
        """Return the state of every target, or nothing where the connector does not tell."""
        tell = getattr(self._connector, "targets", None)
        if tell is None:
            return ()
        try:
            return tuple(tell())
        except Exception:  # noqa: BLE001 - what is only shown must not end who shows it
            return ()

    async def probe(self) -> Health:
        """Tell whether the service can be reached (`Connector.probe`)."""
        try:
            return await self._connector.probe()
        except Exception as error:  # noqa: BLE001 - the point of this class
            return Health(healthy=False, detail=f"{type(error).__name__} in the connector's probe.")


class GuardedReply:
    """A reply whose stray exceptions become MALFORMED."""

    __slots__ = ("_connector", "_reply", "delimited_by_close", "headers", "status")

    def __init__(self, reply: Reply, connector: GuardedConnector) -> None:
        """Guard `reply`, which `connector` counts as open until it is released."""
        self._reply = reply
        self._connector = connector
        self.status: int = reply.status
        self.headers: Headers = reply.headers
        self.delimited_by_close: bool = reply.delimited_by_close

    async def read(self, bytes_max: int) -> bytes:
        """Read the whole body (`Reply.read`)."""
        try:
            return await self._reply.read(bytes_max)
        except CallFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the point of this class
            _fail(error)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives (`Reply.chunks`)."""
        try:
            async for chunk in self._reply.chunks():
                yield chunk
        except CallFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the point of this class
            _fail(error)

    async def release(self) -> None:
        """Give the reply back (`Reply.release`)."""
        try:
            await self._reply.release()
        except CallFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the point of this class
            _fail(error)
        finally:
            self._connector.calls_open -= 1


def _fail(error: Exception) -> NoReturn:
    detail = f"{type(error).__name__} in the connector"
    raise CallFailed(Failure.MALFORMED, detail, sent=True) from error
