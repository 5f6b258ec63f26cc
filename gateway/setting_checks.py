"""What each setting accepts; what is refused is told in a sentence that says how to write it."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from connectors.origin import Origin
from connectors.secrets import SecretReference
from policies.times import Duration

# Labels as a resolver takes them: none is empty, none has more than 63 characters.
_SIEM_URL: Final = re.compile(
    r"syslog\+tls://([A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*\.?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
)
# Underscores too: names inside one's own network may have them.
_BASE_URL: Final = re.compile(
    r"https?://([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
)


def check_listener(value: str) -> str:
    """Accept ``address:port`` with a literal address: a name could resolve to somewhere else."""
    host, separator, port = value.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("write it as address:port, for example 127.0.0.1:8080")
    if ":" not in host:
        ipaddress.IPv4Address(host)
    elif host.startswith("[") and host.endswith("]"):
        ipaddress.IPv6Address(host[1:-1])
    else:
        raise ValueError("write an IPv6 address in brackets, for example [::1]:8080")
    return value


def check_base_url(value: str) -> str:
    """Accept ``scheme://host[:port]`` alone: paths of services stand at its root."""
    scheme, _, rest = value.partition("://")
    bare = f"{scheme}://{re.split('[/?#]', rest)[0]}"
    if _BASE_URL.fullmatch(bare) is None or not _is_address(bare):
        raise ValueError("write it as https://host or https://host:port")
    if value != bare:
        raise ValueError(f"nothing may follow the host; {bare} would be accepted")
    return value


def check_hosts(value: str | None) -> str | None:
    """Accept hosts as the `Host` field names them, with or without a port, between commas."""
    for host in value.split(",") if value is not None else ():
        url = f"http://{host.strip()}"
        if _BASE_URL.fullmatch(url) is None or re.search(r"\.(:|$)", url) or not _is_address(url):
            raise ValueError("write hosts as gateway.internal, 10.0.0.1:8080 or [::1]:8080")
    return value


def _is_address(url: str) -> bool:
    """Tell whether a URL of the right form has numbers that an address and a port can have."""
    try:
        parts = urlsplit(url)
        if "[" in parts.netloc:
            ipaddress.IPv6Address(parts.hostname or "")
        port = parts.port
    except ValueError:
        return False
    return port != 0


def check_organisation(value: str) -> str:
    """Accept a reference of one of the four registers (design.md, section 2)."""
    if not value.startswith(("ods:", "gss:", "govuk:", "urn:")):
        raise ValueError("an organisation's reference starts with ods:, gss:, govuk: or urn:")
    return value


def check_siem_url(value: str | None) -> str | None:
    """Accept syslog over TLS alone: the plain form would tell everybody on the way."""
    if value is not None and not (_SIEM_URL.fullmatch(value) and _is_address(value)):
        raise ValueError("write it as syslog+tls://host or syslog+tls://host:port")
    return value


def check_siem_otlp_url(value: str | None) -> str | None:
    """Accept https, and http to a collector on this machine; no user, query or fragment."""
    if value is not None:
        Origin.parse(value, allow_loopback=True)
    return value


def check_duration(value: str) -> str:
    """Accept a calendar duration of at least a day."""
    duration = Duration.parse(value)
    if not (duration.months or duration.days):
        raise ValueError("write it as P1Y, P18M or P90D; it is at least a day")
    return value


def check_reference(value: str | None) -> str | None:
    """Accept where a secret lies, never the secret itself."""
    return str(SecretReference.parse(value)) if value is not None else None


def check_file_reference(value: str | None) -> str | None:
    """Accept where a secret lies that a library reads by itself: a file."""
    if value is not None and SecretReference.parse(value).source != "file":
        raise ValueError("write it as file:NAME, a file in the secrets directory")
    return value
