"""How failures look to callers of the control listener: problem+json, and no value they sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gateway.clock import new_uuid7, uuid_text
from gateway.errors import GatewayError, ProblemCode
from gateway.problems import MEDIA_TYPE, PROBLEMS, problem_body
from gateway.registry.store import RegistryUnavailable

_CODE_OF_STATUS: Final[Mapping[int, str]] = {
    404: ProblemCode.NOT_FOUND,
    405: ProblemCode.METHOD_NOT_ALLOWED,
    413: ProblemCode.BODY_TOO_LARGE,
    415: ProblemCode.UNSUPPORTED_MEDIA_TYPE,
}
"""The problem behind each status that the framework itself answers with."""

_RETRY_AFTER_S: Final = 5


def answer_with_problems(app: FastAPI) -> None:
    """Have every failure of `app` answered as RFC 9457 asks."""
    app.add_exception_handler(GatewayError, _gateway_error)
    app.add_exception_handler(RegistryUnavailable, _registry_unavailable)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(Exception, _unforeseen)


async def _gateway_error(request: Request, error: Exception) -> JSONResponse:
    del request
    known = cast(GatewayError, error)
    return _problem(known.code, known.detail)


async def _registry_unavailable(request: Request, error: Exception) -> JSONResponse:
    del request, error
    return _problem(ProblemCode.NOT_READY, "The registry does not answer now.")


async def _not_valid(request: Request, error: Exception) -> JSONResponse:
    """Name the parameters that are wrong, and why; never repeat their values."""
    del request
    invalid = cast(RequestValidationError, error)
    places = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in invalid.errors())
    return _problem(ProblemCode.MALFORMED_REQUEST, f"{'; '.join(places)}.")


async def _framework_error(request: Request, error: Exception) -> JSONResponse:
    del request
    known = cast(HTTPException, error)
    code = _CODE_OF_STATUS.get(known.status_code, ProblemCode.MALFORMED_REQUEST)
    return _problem(code, PROBLEMS[code].explanation, known.headers)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    """Say nothing of what happened: the server's own log has it."""
    del request, error
    code = ProblemCode.INTERNAL_ERROR
    return _problem(code, PROBLEMS[code].explanation)


def _problem(code: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    status = PROBLEMS[code].status
    added = dict(headers or {})
    if status == 401:
        added["WWW-Authenticate"] = "Bearer"  # RFC 9110, section 15.5.2
    if status == 503:
        added["Retry-After"] = str(_RETRY_AFTER_S)
    return JSONResponse(
        problem_body(code, detail=detail, instance=f"urn:uuid:{uuid_text(new_uuid7())}"),
        status_code=status,
        headers=added,
        media_type=MEDIA_TYPE,
    )
