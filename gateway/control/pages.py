"""The pages that explain each problem to whoever met it: plain, accessible, self-contained."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Final

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from gateway.control.guard import anybody
from gateway.problems import PROBLEMS, Origin, Problem

_WHOSE_TURN: Final[Mapping[Origin, str]] = {
    Origin.CLIENT: "The organisation that made the call.",
    Origin.GATEWAY: "The operator of this gateway.",
    Origin.PEER: "The other organisation whose systems this gateway relies on.",
    Origin.SERVICE: "The owner of the service behind the gateway.",
}

_STYLE: Final = (
    "body{font:1.1875rem/1.5 Arial,sans-serif;color:#0b0c0c;background:#fff;margin:0 auto;"
    "max-width:42rem;padding:2rem 1rem}"
    "h1{font-size:2rem;line-height:1.2;margin:0 0 1rem}"
    "h2{font-size:1.25rem;margin:2rem 0 .25rem}"
    "p{margin:0 0 1rem}"
    "a{color:#1d70b8}"
    "a:focus{outline:3px solid #fd0;background:#fd0;color:#0b0c0c}"
    "code{font-size:1rem;overflow-wrap:anywhere}"
    "li{margin:0 0 .5rem}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
}
"""Nothing but the page's own style is loaded, run or sent."""


def pages_router() -> APIRouter:
    """Return the routes of the pages that problem documents' `type` points at."""
    router = APIRouter(
        include_in_schema=False,
        dependencies=[Depends(anybody)],
        default_response_class=HTMLResponse,
    )

    @router.get("/problems")
    async def problems() -> HTMLResponse:
        """List every problem."""
        return _page("Problems that this gateway reports", _list())

    @router.get("/problems/{code}")
    async def problem(code: str) -> HTMLResponse:
        """Explain one problem."""
        known = PROBLEMS.get(code)
        if known is None:
            text = "<p>No problem has this code. It may be misspelt.</p>"
            return _page("There is no such problem", f"{text}{_LINK_TO_LIST}", status=404)
        return _page(known.title, _explanation(known))

    return router


_LINK_TO_LIST: Final = '<p><a href="/problems">All problems that this gateway reports</a></p>'


def _page(title: str, body_html: str, *, status: int = 200) -> HTMLResponse:
    """Return a whole page; `title` is text and is escaped here, `body_html` is markup."""
    heading = escape(title)
    return HTMLResponse(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading} – Concordat</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{heading}</h1>\n{body_html}\n</main>\n</body>\n</html>\n",
        status_code=status,
        headers=_HEADERS,
    )


def _explanation(problem: Problem) -> str:
    sections = (
        ("What it means", problem.explanation),
        ("What to do", problem.mend),
        ("Whose turn it is", _WHOSE_TURN[problem.origin]),
    )
    parts = [f"<h2>{escape(name)}</h2>\n<p>{escape(text)}</p>" for name, text in sections]
    code = f"<p>Code <code>{escape(problem.code)}</code>, HTTP status {problem.status}.</p>"
    return "\n".join((code, *parts, _LINK_TO_LIST))


def _list() -> str:
    items = "\n".join(
        f'<li><a href="/problems/{escape(problem.code)}">{escape(problem.title)}</a> '
        f"<code>{escape(problem.code)}</code></li>"
        for problem in sorted(PROBLEMS.values(), key=lambda problem: problem.title)
    )
    return f"<ul>\n{items}\n</ul>"
