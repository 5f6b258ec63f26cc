"""Reads answers off a connection's bytes, and takes only what RFC 9112 lets mean one thing."""

from __future__ import annotations

from typing import Final, NamedTuple

import httptools

from connectors.base import Headers

HEAD_BYTES_MAX: Final = 64 * 1024
"""Bytes of the status lines and header fields of one answer, interim answers included."""
FIELDS_MAX: Final = 128
"""Header fields of one answer."""
INTERIM_ANSWERS_MAX: Final = 8
"""1xx answers before the final one."""
FRAMING_BYTES_MAX: Final = 64 * 1024
"""Bytes of chunk sizes, extensions and trailers, beyond `FRAMING_BYTES_PER_BODY_BYTE`."""
FRAMING_BYTES_PER_BODY_BYTE: Final = 8
"""What a service that sends chunks of one byte may spend on each."""

HEADS_KEPT_MAX: Final = 64
"""Heads of a service's answers that are known at once; further ones are read each time."""
HEAD_KEPT_BYTES_MAX: Final = 2 * 1024
"""The longest head that is kept to be known again."""

NOT_PASSED_ON: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Hop-by-hop fields (RFC 9110, 7.6.1) and framing, which is rebuilt by whoever answers onward."""

_HEAD_END: Final = b"\r\n\r\n"
_WITHOUT_BODY: Final = frozenset({204, 304})


class BadAnswer(Exception):
    """The bytes are no answer that could be told apart from an attack; says which rule broke."""


class KnownHead(NamedTuple):
    """What one head says of an answer with a Content-Length, after which the connection stays."""

    status: int
    headers: Headers
    body_bytes: int


class KnownHeads:
    """Heads that were read lately, by all their bytes: a service repeats itself within a second.

    What a head says depends on nothing but its bytes, so one that comes again need not be read
    again. It may say whom an answer is about: whoever has this makes it `forget` very soon.
    """

    __slots__ = ("_heads", "get")

    def __init__(self) -> None:
        """Know none yet."""
        self._heads: dict[bytes, KnownHead] = {}
        self.get: Final = self._heads.get

    def keep(self, raw: bytes, head: KnownHead) -> None:
        """Know `raw` when it comes again, where it is short and there is room."""
        if len(raw) <= HEAD_KEPT_BYTES_MAX and len(self._heads) < HEADS_KEPT_MAX:
            self._heads[raw] = head

    def forget(self) -> None:
        """Know none any more."""
        self._heads.clear()


class AnswerReader:
    """Reads one answer after another from one connection; `begin` starts each.

    httptools (llhttp, strict) finds the lines and refuses Content-Length with Transfer-Encoding,
    repeated lengths, bare LF, obs-fold and control characters; what it lets pass is refused here.
    The verdict does not depend on where the bytes were split, nor on which heads are known. Line
    ends behind a body change no answer either, but the parser passes over those that come with its
    end, and any others are `surplus`, which ends the connection.
    """

    __slots__ = (
        "_bytes_left",
        "_chunks",
        "_coding",
        "_fault",
        "_fields",
        "_head_only",
        "_heads",
        "_interim_answers",
        "_named",
        "_parser",
        "_parser_spent",
        "_received_bytes",
        "_version_known",
        "body_bytes",
        "buffered_bytes",
        "complete",
        "declared_bytes",
        "delimited_by_close",
        "head_complete",
        "headers",
        "persistent",
        "status",
        "surplus",
    )

    def __init__(self, heads: KnownHeads | None = None) -> None:
        """Make a reader that waits for `begin`, and shares what `heads` knows."""
        self._heads = KnownHeads() if heads is None else heads
        self._chunks: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._parser_spent = False
        self.begin(head_only=False)

    def begin(self, *, head_only: bool) -> None:
        """Expect the answer to a new request; `head_only` where that is HEAD (RFC 9112, 6.3)."""
        self._received_bytes = self._bytes_left = 0
        self._head_only = head_only
        self.head_complete = self.complete = self.surplus = self.persistent = False
        self.delimited_by_close = False
        self.declared_bytes: int | None = None
        self.status = 0
        self.headers: Headers = ()
        self.body_bytes = self.buffered_bytes = 0
        self._chunks.clear()

    def _begin_parsing(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._coding: bytes | None = None
        self._named: bytes | None = None
        self._fault: str | None = None
        self._interim_answers = 0
        self._version_known = False
        if self._parser_spent:
            self._parser = httptools.HttpResponseParser(self)
            self._parser_spent = False

    @property
    def started(self) -> bool:
        """Whether any byte of the answer has come."""
        return self._received_bytes > 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they came; raises BadAnswer. Bytes after the answer only set `surplus`."""
        if self.complete:
            self.surplus = True
        elif self._bytes_left:
            self._feed_counted(data)
        elif self.head_complete:
            self._received_bytes += len(data)
            self._parse(data)
            self._check_framing_bytes()
        elif self._received_bytes or self._head_only or not self._feed_known(data):
            self._feed_head(data)
            self._check_framing_bytes()

    def finish(self) -> None:
        """Take the end of the connection; raises BadAnswer where it cuts the answer short."""
        if self.complete:
            return
        if not self.head_complete:
            raise BadAnswer("the answer ends inside its header section")
        if not self.delimited_by_close:
            raise BadAnswer("the body is shorter than its framing says")
        self.complete = True

    def take(self) -> bytes:
        """Hand over the body bytes that are here."""
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.buffered_bytes = 0
        return body

    def _feed_known(self, data: bytes) -> bool:
        """Take an answer whose head is known: its body needs no parser, only to be counted."""
        body_at = data.find(_HEAD_END) + len(_HEAD_END)
        known = self._heads.get(data[:body_at])
        if known is None or known.body_bytes < len(data) - body_at:
            return False
        self._received_bytes = body_at
        self.status, self.headers, self.declared_bytes = known
        self.head_complete = True
        self._bytes_left = known.body_bytes
        self._feed_counted(data[body_at:])
        return True

    def _feed_counted(self, data: bytes) -> None:
        self._received_bytes += len(data)
        left = self._bytes_left - len(data)
        if left <= 0:
            self.complete = self.persistent = True
            if left < 0:
                self.surplus = True
                data = data[:left]
            left = 0
        self._bytes_left = left
        self.on_body(data)

    def _keep_head(self, data: bytes) -> None:
        """Know this head when it comes again; `data` is how the answer began."""
        declared_bytes = self.declared_bytes
        head_end = data.find(_HEAD_END)
        body_at = head_end + len(_HEAD_END)
        if (
            head_end > 0
            and declared_bytes is not None
            and self._coding is None
            and self.status not in _WITHOUT_BODY
            and not (self._interim_answers or self._head_only)
            and (self.persistent if self.complete else self._parser.should_keep_alive())
            # The parser saw the body begin where it is looked for.
            and self.body_bytes == len(data) - body_at
        ):
            head = KnownHead(self.status, self.headers, declared_bytes)
            self._heads.keep(data[:body_at], head)

    def _feed_head(self, data: bytes) -> None:
        if not self._received_bytes:
            # llhttp would skip blank lines here, and take RTSP and ICE for HTTP.
            if data[:1] != b"H":
                raise BadAnswer("the answer does not begin with a status line")
            self._begin_parsing()
            self._version_known = data.startswith(b"HTTP/1.1 ")
        room = HEAD_BYTES_MAX - self._received_bytes
        head, rest = (data, b"") if len(data) <= room else (data[:room], data[room:])
        self._received_bytes += len(head)
        self._parse(head)
        if self.head_complete:
            if self._head_only:
                self._end_head_only(head)
            elif self._received_bytes == len(data):
                self._keep_head(data)
            if rest:
                self.feed(rest)
        elif self._received_bytes >= HEAD_BYTES_MAX:
            raise BadAnswer(f"the header section is larger than {HEAD_BYTES_MAX} bytes")

    def _end_head_only(self, head: bytes) -> None:
        # The parser cannot be told that no body follows, so it is not used again, and what came
        # with the head's last bytes is judged here: only one blank line, at the very end, is clean.
        self._parser_spent = True
        if head.find(_HEAD_END) != len(head) - len(_HEAD_END):
            self.surplus = True

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.complete:
                raise BadAnswer(self._fault or str(error)) from None
            self.surplus = True

    def _refuse(self, why: str) -> BadAnswer:
        # httptools replaces what a callback raises by an error of its own.
        self._fault = why
        return BadAnswer(why)

    def _check_framing_bytes(self) -> None:
        if self._coding is None or self.complete:
            return
        framing_bytes = self._received_bytes - self.body_bytes
        if framing_bytes > FRAMING_BYTES_MAX + FRAMING_BYTES_PER_BODY_BYTE * self.body_bytes:
            raise BadAnswer("chunk extensions or trailers without end")

    # What httptools calls, in the order of the bytes.

    def on_message_begin(self) -> None:
        """Stop at a second answer in the same bytes."""
        if self.complete:
            raise self._refuse("bytes after the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep an end-to-end field; trailers land here too, after `headers` was made."""
        name = name.lower()
        if name not in NOT_PASSED_ON:
            self._fields.append((name, value))
        elif name == b"content-length":
            self.declared_bytes = int(value)
        elif name == b"transfer-encoding":
            self._coding = value.lower() if self._coding is None else b"repeated"
        elif name == b"connection":
            self._named = value if self._named is None else self._named + b"," + value

    def on_headers_complete(self) -> None:
        """Judge the head: interim answers are dropped, a final one becomes visible."""
        status = self._parser.get_status_code()
        if not self._version_known and self._parser.get_http_version() not in ("1.1", "1.0"):
            raise self._refuse("the answer is not HTTP/1.1 or HTTP/1.0")
        if len(self._fields) > FIELDS_MAX:
            raise self._refuse(f"more than {FIELDS_MAX} header fields")
        if status < 200:
            self._drop_interim(status)
            return
        if status > 599:
            raise self._refuse("the status is not between 200 and 599")
        if self._coding is not None:
            self._check_coding()
        named = self._named
        if named is None or named.lower() in (b"keep-alive", b"close"):
            self.headers = tuple(self._fields)
        else:
            dropped = {name.strip().lower() for name in named.split(b",")}
            self.headers = tuple(field for field in self._fields if field[0] not in dropped)
        self.status = status
        self.head_complete = True
        if self._head_only:
            self.complete = True
            self.persistent = self._parser.should_keep_alive()
        elif self._coding is None and self.declared_bytes is None:
            self.delimited_by_close = status not in _WITHOUT_BODY

    def on_body(self, data: bytes) -> None:
        """Keep body bytes; there are none after HEAD, whatever was sent."""
        if not self._head_only:
            self._chunks.append(data)
            self.buffered_bytes += len(data)
            self.body_bytes += len(data)

    def on_message_complete(self) -> None:
        """Note the end of the final answer, and whether the connection may serve another call."""
        if self.head_complete:
            self.complete = True
            self.persistent = self._parser.should_keep_alive()

    def _drop_interim(self, status: int) -> None:
        # RFC 9110, 15.2: 1xx answers have no content; 101 (7.8) was never asked for.
        if status == 101:
            raise self._refuse("the service switched protocols")
        if self._coding is not None or self.declared_bytes is not None:
            raise self._refuse("an interim answer with a body")
        self._interim_answers += 1
        if self._interim_answers > INTERIM_ANSWERS_MAX:
            raise self._refuse(f"more than {INTERIM_ANSWERS_MAX} interim answers")
        self._fields = []
        self._named = None
        self._version_known = False

    def _check_coding(self) -> None:
        # RFC 9112, 6.1: only chunked is asked for; in HTTP/1.0 it is a sign of faulty framing.
        if self._coding != b"chunked":
            raise self._refuse("a transfer coding other than chunked, once")
        if not self._version_known and self._parser.get_http_version() != "1.1":
            raise self._refuse("a transfer coding in HTTP/1.0")
