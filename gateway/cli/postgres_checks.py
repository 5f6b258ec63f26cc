"""The checks of `concordat doctor` on the PostgreSQL that keeps the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from gateway.audit.place import PostgresFailed
from gateway.cli.finding import Finding, failed, ok, unknown
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.audit.postgresql.session import PostgresSession

_CHECK: Final = "postgresql"
# Only a member of pg_monitor sees the state of other roles' sessions.
_STANDBYS: Final = """
SELECT count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')),
       count(*) FILTER (WHERE sync_state IS NULL) FROM pg_stat_replication"""


def examine_postgres(settings: Settings) -> Iterator[Finding]:
    """Check that the server answers, keeps what it acknowledges, and has a standby that does."""
    if settings.audit_url is None:
        return
    # Imported where it is needed: most homes have no PostgreSQL.
    from gateway.audit.postgresql.session import PostgresSession, SessionUnsuitable

    url = settings.audit_url.get_secret_value()
    try:
        session = PostgresSession(url, "pg_catalog", reads=False)
    except SessionUnsuitable as unsuitable:
        yield failed(_CHECK, str(unsuitable), "psql -c 'SHOW ALL', and mend the server's settings")
        return
    except PostgresFailed as failure:
        mend = "set audit_url in concordat.yaml to a server that answers; until then it refuses all"
        yield failed(_CHECK, str(failure), mend)
        return
    try:
        yield _standby(session)
    finally:
        session.close()


def _standby(session: PostgresSession) -> Finding:
    asked = "it takes records, and syncs them"
    if not session.standbys:
        return ok(_CHECK, f"{asked}; no synchronous standby: a lost disk loses the newest records")
    following, hidden = session.execute(_STANDBYS).fetchone()
    if not following and hidden:
        mend = "GRANT pg_monitor TO the gateway's role, to see whether its standbys follow"
        return unknown(_CHECK, "standbys are required, and their state is hidden", mend)
    if not following:
        mend = "start the standby that synchronous_standby_names names: nothing is recorded until"
        return failed(_CHECK, "no synchronous standby follows, so that no commit ends", mend)
    return ok(_CHECK, f"{asked}, on {following} synchronous standby too")
