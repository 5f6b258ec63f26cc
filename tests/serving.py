"""A static server of a log's published files (C2SP tlog-tiles), for what watches logs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gateway.audit.publishing.published import published_head, read_tile
from gateway.audit.tiles import parse_tile_path, tile_paths


def published_files(place: Path) -> dict[str, bytes]:
    """Return the checkpoint of a log and all hash tiles of it, by their paths."""
    head = published_head(place)
    assert head is not None
    files = {"checkpoint": head.note.encode()}
    for path in tile_paths(head.size):
        name = parse_tile_path(path)
        assert name is not None
        content = read_tile(place, name)
        assert content is not None
        files[path] = content
    return files


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[str]:
    """Serve what `files` hold at each moment; yields the prefix."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path.removeprefix("/log/"))
            self.send_response(404 if content is None else 200)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/log"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
