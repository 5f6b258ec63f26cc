"""Syslog over TLS: messages of RFC 5424, each framed by its length (RFC 5425).

The protocol has no acknowledgement. What is confirmed here is that the receiver's host has taken
every octet; its program may not have read the last `UNREAD_BYTES_MAX` of them.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from connectors.credentials import CredentialUnavailable
from connectors.egress import EgressDenied, EgressRule
from connectors.tls import Trust

SYSLOG_TLS_PORT: Final = 6514
"""RFC 5425, section 4.1."""
LOG_AUDIT: Final = 13
"""The facility of audit messages (RFC 5424, table 1)."""
WARNING: Final = 4
NOTICE: Final = 5
INFORMATIONAL: Final = 6
UNREAD_BYTES_MAX: Final = 8 * 1024 * 1024
"""Octets that a host may have taken and its program not read: more than the 6 MiB that Linux gives
a connection unless told otherwise (net.ipv4.tcp_rmem)."""
SEND_TIMEOUT_S: Final = 10.0
"""Time to connect, and for each `_PIECE_BYTES` to be taken; a receiver slower than that stalls."""
OPERATORS_CHOICE: Final = EgressRule(
    allow_loopback=True, networks=(ip_network("0.0.0.0/0"), ip_network("::/0"))
)
"""Where an operator's own setting may lead: to any address but multicast and cloud metadata."""

_PIECE_BYTES: Final = 64 * 1024
_CONFIRM_PAUSE_S: Final = 0.002
_READS_MAX: Final = 16
"""How often a receiver may have said something before it is taken for something else."""


class SyslogFailed(Exception):
    """Messages could not be handed over; the text is one phrase without content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogMessage:
    """One message of RFC 5424; `text` is UTF-8 and goes as MSG-ANY, since parsers of JSON take no
    byte order mark. `timestamp` is as RFC 3339 writes it, with at most six digits of a second."""

    severity: int
    timestamp: str
    hostname: str
    app_name: str
    kind: str
    structured: str
    text: bytes

    def frame(self) -> bytes:
        """Return the message behind its length in octets (RFC 5425, section 4.3)."""
        priority = LOG_AUDIT * 8 + self.severity
        header = (
            f"<{priority}>1 {self.timestamp} {_printable(self.hostname, 255)}"
            f" {_printable(self.app_name, 48)} - {_printable(self.kind, 32)} {self.structured} "
        )
        message = header.encode("ascii") + self.text
        return b"%d %b" % (len(message), message)


class SyslogLink:
    """One connection to a receiver, opened when it is needed. Blocks: use it in a thread."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        trust: Trust | None = None,
        timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        """Send to `host`, which is verified, and shown a certificate, as `trust` says."""
        self._host = host
        self._port = port
        self._trust = trust or Trust()
        self._timeout_s = timeout_s
        self._connection: ssl.SSLSocket | None = None

    def open(self) -> ssl.SSLSocket:
        """Connect, and verify the receiver's chain and name; return what is open already.

        Raises:
            SyslogFailed: it cannot be reached or verified.
        """
        connection = self._connection
        if connection is not None:
            if not _has_ended(connection):
                return connection
            self.close()
            raise SyslogFailed("the receiver has closed the connection")
        try:
            context = self._trust.context(protocols=())
        except CredentialUnavailable as unusable:
            raise SyslogFailed(str(unusable)) from None
        try:
            connection = self._connection = self._connect(context)
        except ssl.SSLCertVerificationError as error:
            raise SyslogFailed(f"its certificate does not hold: {error.verify_message}") from None
        except EgressDenied as denied:
            raise SyslogFailed(str(denied)) from None
        except TimeoutError:
            raise SyslogFailed("no connection in time") from None
        except (OSError, ValueError) as error:  # the latter of a name that no resolver takes
            raise SyslogFailed(f"no connection ({type(error).__name__})") from None
        return connection

    def send(self, frames: bytes) -> None:
        """Send frames, and return once the receiver's host has taken all of them.

        Raises:
            SyslogFailed: it did not; some may have arrived. The connection is closed.
        """
        connection = self.open()
        try:
            for at in range(0, len(frames), _PIECE_BYTES):
                connection.sendall(frames[at : at + _PIECE_BYTES])
            self._confirm(connection)
        except TimeoutError:
            self.close()
            raise SyslogFailed("the receiver takes nothing") from None
        except (OSError, ValueError) as error:
            self.close()
            raise SyslogFailed(f"the connection broke ({type(error).__name__})") from None

    def close(self) -> None:
        """End the connection; from another thread, this also ends a `send` that waits."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _connect(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        plain = socket.create_connection((self._host, self._port), timeout=self._timeout_s)
        try:
            OPERATORS_CHOICE.check(str(plain.getpeername()[0]))
            return context.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    def _confirm(self, connection: ssl.SSLSocket) -> None:
        """Wait until nothing is left that the receiver's host has not acknowledged."""
        pauses = int(self._timeout_s / _CONFIRM_PAUSE_S)
        for _ in range(pauses):
            left = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
            if struct.unpack("i", left) == (0,):
                break
            time.sleep(_CONFIRM_PAUSE_S)
        else:
            raise TimeoutError
        if _has_ended(connection):
            raise ConnectionResetError


def _has_ended(connection: ssl.SSLSocket) -> bool:
    """Tell whether the receiver has ended the connection, or says what it has no need to say."""
    waited_s = connection.gettimeout()
    ready = select.poll()  # which takes any descriptor; select() takes the first thousand
    ready.register(connection, select.POLLIN)
    try:
        # TLS has something to say of its own, such as session tickets; syslog has nothing.
        for _ in range(_READS_MAX):
            if not ready.poll(0) and not connection.pending():
                return False
            connection.settimeout(0)
            if not connection.recv(1024):
                return True
    except ssl.SSLWantReadError:
        return False  # a session ticket, or a part of one
    except OSError:
        return True
    finally:
        connection.settimeout(waited_s)
    return True


def _printable(text: str, characters_max: int) -> str:
    """Return a field of the header: PRINTUSASCII, or ``-`` for nothing (RFC 5424, section 6)."""
    kept = "".join(one for one in text if "!" <= one <= "~")[:characters_max]
    return kept or "-"
