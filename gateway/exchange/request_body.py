"""The body of a request as the decision sees it: read as rows of JSON, or not read at all."""

from __future__ import annotations

from typing import Final

from gateway.errors import ProblemCode
from gateway.exchange.answers import ErrorAnswer
from gateway.exchange.duties.media import JSON, essence_of, read_media
from gateway.exchange.messages import BodyTooLarge, Request
from gateway.exchange.rows import Rows, RowsUnreadable, read_rows
from policies.hot import hot_value

REQUEST_BODY_BYTES_MAX: Final = 1024 * 1024
"""The longest request body that the gateway takes."""


@hot_value(frozen=True, slots=True, kw_only=True)
class Body:
    """A request body as read: its rows if it is JSON, or why it cannot be used.

    `media_type` is there where the body was not read: a rule may let it through all the same.
    """

    content: bytes = b""
    rows: Rows | None = None
    unreadable: ErrorAnswer | None = None
    media_type: str | None = None


NO_BODY: Final = Body()
_NOT_READ: Final = ErrorAnswer(
    code=ProblemCode.UNSUPPORTED_MEDIA_TYPE,
    detail="The gateway checks request bodies and reads JSON only. Send application/json.",
)


def is_read(request: Request) -> bool:
    """Whether the decision needs what the body says; a body in any other media type is not read."""
    return read_media(_content_type(request)).format is JSON


def _content_type(request: Request) -> str:
    for name, value in request.headers:
        if name == b"content-type":
            return value.decode("latin-1")
    return ""


async def read_body(request: Request, *, asked: bool) -> Body:
    """Take a body in, and read it where the decision has `asked` for what it says.

    Raises `ClientGone` where it breaks off.
    """
    if not is_read(request):
        # What the gateway cannot read, it cannot check against the rule's fields.
        return Body(unreadable=_NOT_READ, media_type=essence_of(_content_type(request)))
    try:
        content = await request.body.read(REQUEST_BODY_BYTES_MAX)
    except BodyTooLarge:
        detail = f"The body is longer than {REQUEST_BODY_BYTES_MAX} bytes. Send fewer rows."
        return Body(unreadable=ErrorAnswer(code=ProblemCode.BODY_TOO_LARGE, detail=detail))
    if not asked:
        return Body(content=content)
    rows = read_rows(content)
    if isinstance(rows, RowsUnreadable):
        unreadable = ErrorAnswer(code=rows.code, detail=rows.detail)
        return Body(content=content, unreadable=unreadable)
    return Body(content=content, rows=rows)
