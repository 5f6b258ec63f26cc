"""URLs of PostgreSQL that both drivers read alike, so that none need be quoted in an error."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

_SCHEME: Final = "postgresql://"
_AUTHORITY_END: Final = re.compile("[/?#]")


def is_postgres_url(url: str) -> bool:
    """Tell whether a URL can be read, and in one way only.

    Of one that can be read in two, a part of the password would pass for a host, which error
    messages tell.
    """
    if not url.startswith(_SCHEME):
        return False
    # Imported where it is needed: most homes have no PostgreSQL.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    authority, *rest = _AUTHORITY_END.split(url.removeprefix(_SCHEME), maxsplit=1)
    if authority.count("@") > 1 or "@" in "".join(rest):
        return False
    try:  # as both drivers read it; what they raise quotes the URL
        urlsplit(url)
        conninfo_to_dict(url)
    except (ValueError, ProgrammingError):
        return False
    return True


def check_postgres_url(url: SecretStr | None) -> SecretStr | None:
    """Return a URL as it is; raises ValueError, which does not tell it, where it is no good one."""
    if url is not None and not is_postgres_url(url.get_secret_value()):
        raise ValueError(
            "write it as postgresql://user:password@host:port/database, and @ : / ? # % in its "
            "password as %XX"
        )
    return url
