"""The demo's pretend departments: a small HTTP server that knows its files and no agreements.

What each path does is said in the `department` section of the pack's `services.yaml`.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.demo.listener import listen, serve
from gateway.demo.scenario import PackInvalid
from gateway.documents import Document, load_document
from policies.paths import Template

SERVICES_FILE: Final = "services.yaml"
DATA_FOLDER: Final = "data"

Row = Mapping[str, str]


class Serving(StrEnum):
    """The ways in which a pretend department answers."""

    TABLE = "table"
    KNOWN = "known"
    MATCH = "match"
    APPEND = "append"
    FILE = "file"
    PARQUET_OF = "parquet_of"


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartmentOperation:
    """One path of a department: `file` is a data file of the pack, `on` the columns of a match."""

    connector: str
    method: str
    path: str
    serving: Serving
    file: str
    on: tuple[str, ...] = ()
    media_type: str = "application/json"


def read_department(pack: Path) -> tuple[DepartmentOperation, ...]:
    """Read the `department` section of the pack's services.

    Raises:
        PackInvalid: an operation is not one of the ways a department can answer.
    """
    document = load_document(pack / SERVICES_FILE)
    value = document.value
    section = value.get("department") if isinstance(value, Mapping) else None
    if not isinstance(section, Mapping):
        raise PackInvalid(f"{document.path}: no department section, so nothing can answer")
    return tuple(
        operation
        for connector, operations in section.items()
        for operation in _read_operations(str(connector), operations, document)
    )


def create_departments(
    operations: Sequence[DepartmentOperation], files: Path, replacements: Replacements
) -> Starlette:
    """Build the server of all departments over the data folder `files`."""
    routes = [
        Route(
            operation.path,
            _Endpoint(operation, files, replacements).answer,
            methods=[operation.method],
        )
        for operation in operations
    ]
    return Starlette(routes=routes)


def serve_departments(pack: Path, replacements: Replacements, ready: Connection) -> None:
    """Process body: serve the departments of `pack` on a free port and send its address."""
    app = create_departments(read_department(pack), pack / DATA_FOLDER, replacements)
    serve(app, listen(), ready)


class Replacements:
    """Which data file a path serves instead of its own: a note the player leaves by the door.

    It is a file beside the departments, read at each request, so no call through the gateway and
    no endpoint can change what a department serves.
    """

    def __init__(self, path: Path) -> None:
        """Keep the note at `path`; no note means no replacement."""
        self._path: Final = path

    def set(self, path: str, file: str) -> None:
        """Let requests for `path`, and nothing else, be answered from `file`."""
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps({path: file}))
        draft.replace(self._path)

    def clear(self) -> None:
        """Let every path serve its own file again."""
        self._path.unlink(missing_ok=True)

    def find(self, path: str) -> str | None:
        """Return the file that stands in at `path`, or None."""
        try:
            note: dict[str, str] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        return note.get(path)


_MEDIA_TYPES: Final = {Serving.PARQUET_OF: "application/vnd.apache.parquet"}
"""Media types that need not be named."""
_LOG: Final = logging.getLogger("concordat.demo")
_METHOD: Final = re.compile(r"[A-Za-z]{1,20}")
_MEDIA_TYPE: Final = re.compile(r"[!-~][ -~]{0,199}")
_WHOLE_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_OPERATION_WORDS: Final = frozenset({"method", "path", "on", "media_type", *Serving})


def _read_operations(
    connector: str, value: object, document: Document
) -> Iterator[DepartmentOperation]:
    """Yield the operations of a department, each fault with its line and column."""
    if value is None:
        return
    if not isinstance(value, list):
        where = _place(document, connector)
        raise PackInvalid(f"{where}: a list of operations is expected")
    for number, operation in enumerate(value):
        yield _read_operation(connector, operation, _place(document, connector, number))


def _place(document: Document, connector: str, *pointer: int) -> str:
    line, column = document.locate(("department", connector, *pointer))
    return f"{document.path}:{line}:{column}: department of {connector}"


def _read_operation(connector: str, value: object, where: str) -> DepartmentOperation:
    if not isinstance(value, Mapping) or set(value) - _OPERATION_WORDS:
        raise PackInvalid(f"{where}: an operation has method, path and one of {', '.join(Serving)}")
    servings = [Serving(word) for word in value if word in set(Serving)]
    if len(servings) != 1 or not value.get("path") or not value.get("method"):
        raise PackInvalid(f"{where}: an operation has method, path and one of {', '.join(Serving)}")
    operation = DepartmentOperation(
        connector=connector,
        method=str(value["method"]),
        path=str(value["path"]),
        serving=servings[0],
        file=str(value[servings[0]]),
        on=_columns(value.get("on"), where),
        media_type=str(value.get("media_type", _MEDIA_TYPES.get(servings[0], "application/json"))),
    )
    for wrong in _wrong_in(operation):
        raise PackInvalid(f"{where}: {wrong}")
    return operation


def _columns(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(column, str) for column in value):
        raise PackInvalid(f"{where}: on must be a list of columns")
    return tuple(value)


def _wrong_in(operation: DepartmentOperation) -> Iterator[str]:
    """Yield why no department can do this."""
    if Path(operation.file).name != operation.file:
        yield f"{operation.file} is not the name of a data file"
    if not _METHOD.fullmatch(operation.method):
        yield f"{operation.method!r} is not a method of HTTP"
    if not _MEDIA_TYPE.fullmatch(operation.media_type):
        yield f"{operation.media_type!r} is not a media type"
    try:
        Template.parse(operation.path)
    except ValueError as error:
        yield f"path: {error}"


class _Endpoint:
    """Answers one operation from its file."""

    def __init__(
        self, operation: DepartmentOperation, files: Path, replacements: Replacements
    ) -> None:
        self._operation: Final = operation
        self._files: Final = files
        self._replacements: Final = replacements

    async def answer(self, request: Request) -> Response:
        """Answer `request` as the operation says; with 500 where its file is not fit for that."""
        try:
            return await self._answer(request)
        except (OSError, ValueError, KeyError, csv.Error) as error:
            said = error.strerror if isinstance(error, OSError) else error
            _LOG.error("department: %s/%s: %s", DATA_FOLDER, self._operation.file, said)
            return Response(status_code=HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        file = self._files / (self._replacements.find(path) or self._operation.file)
        match self._operation.serving:
            case Serving.TABLE:
                wanted = [*request.query_params.multi_items(), *_path_parameters(request)]
                return JSONResponse({"records": _narrowed(_rows(file), wanted)})
            case Serving.KNOWN:
                known = bool(_narrowed(_rows(file), _path_parameters(request)))
                return JSONResponse({"known": known})
            case Serving.MATCH:
                return _matched(_rows(file), self._operation.on, await request.body())
            case Serving.APPEND:
                return Response(status_code=HTTPStatus.ACCEPTED)
            case Serving.FILE:
                return Response(file.read_bytes(), media_type=self._operation.media_type)
            case Serving.PARQUET_OF:
                return Response(_parquet(_rows(file)), media_type=self._operation.media_type)


def _path_parameters(request: Request) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in request.path_params.items()]


def _rows(file: Path) -> list[Row]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _parquet(rows: Sequence[Row]) -> bytes:
    """Write rows as Parquet: a column of whole numbers is one, any other is text."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    columns: dict[str, list[int] | list[str]] = {}
    # What a row has too much is under None; what it has too little is None.
    for name in filter(None, rows[0] if rows else ()):
        cells = [row[name] or "" for row in rows]
        whole = all(map(_WHOLE_NUMBER.fullmatch, cells))
        columns[name] = [int(cell) for cell in cells] if whole else cells
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def _narrowed(rows: Sequence[Row], wanted: Sequence[tuple[str, str]]) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted if name in row)]


def _matched(rows: Sequence[Row], on: Sequence[str], body: bytes) -> Response:
    try:
        asked = {tuple(item[column] for column in on) for item in json.loads(body)["batch"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    found = [row for row in rows if tuple(row[column] for column in on) in asked]
    return JSONResponse({"records": found})
