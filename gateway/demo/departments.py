"""The demo's pretend departments: a small HTTP server that knows its files and no agreements.

What each path does is said in the `department` section of the pack's `services.yaml`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
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
from gateway.documents import load_document

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
    value = load_document(pack / SERVICES_FILE).value
    section = value.get("department") if isinstance(value, Mapping) else None
    if not isinstance(section, Mapping):
        raise PackInvalid(f"{SERVICES_FILE}: no department section, so nothing can answer")
    return tuple(
        _read_operation(str(connector), operation)
        for connector, operations in section.items()
        for operation in (operations if isinstance(operations, Sequence) else ())
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
_WHOLE_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_OPERATION_WORDS: Final = frozenset({"method", "path", "on", "media_type", *Serving})


def _read_operation(connector: str, value: object) -> DepartmentOperation:
    where = f"{SERVICES_FILE}: department of {connector}"
    if not isinstance(value, Mapping) or set(value) - _OPERATION_WORDS:
        raise PackInvalid(f"{where}: an operation has method, path and one of {', '.join(Serving)}")
    servings = [Serving(word) for word in value if word in set(Serving)]
    if len(servings) != 1 or not value.get("path") or not value.get("method"):
        raise PackInvalid(f"{where}: an operation has method, path and one of {', '.join(Serving)}")
    file = str(value[servings[0]])
    if Path(file).name != file:
        raise PackInvalid(f"{where}: {file} is not the name of a data file")
    return DepartmentOperation(
        connector=connector,
        method=str(value["method"]),
        path=str(value["path"]),
        serving=servings[0],
        file=file,
        on=tuple(str(column) for column in value.get("on", ())),
        media_type=str(value.get("media_type", _MEDIA_TYPES.get(servings[0], "application/json"))),
    )


class _Endpoint:
    """Answers one operation from its file."""

    def __init__(
        self, operation: DepartmentOperation, files: Path, replacements: Replacements
    ) -> None:
        self._operation: Final = operation
        self._files: Final = files
        self._replacements: Final = replacements

    async def answer(self, request: Request) -> Response:
        """Answer `request` as the operation says."""
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
    for name in rows[0] if rows else ():
        cells = [row[name] for row in rows]
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
    except (ValueError, KeyError, TypeError):
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    found = [row for row in rows if tuple(row[column] for column in on) in asked]
    return JSONResponse({"records": found})
