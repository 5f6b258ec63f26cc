"""A shard's tables, functions and rights in PostgreSQL, and how they come to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.audit.day_people import DAY_PEOPLE_TABLES
from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.grants import GRANT_TABLES
from gateway.audit.holds import HOLD_TABLES
from gateway.audit.place import PostgresFailed, PostgresLog
from gateway.audit.postgresql.session import PostgresSession, open_session, quoted
from gateway.audit.seal import Sealed
from gateway.audit.sqlite import INSERT_KEY, INSERT_RECORD, record_row
from gateway.audit.store import LogUnavailable

PARTITION_RECORDS: Final = 4_194_304
"""Records in one partition: 64 full tiles of level 1, some 6 GB (audit-log.md, section 2.7)."""

PROVISION_MS_MAX: Final = 60_000
"""How long a process waits while another makes the schema."""

SCHEMA_VERSION: Final = 3
"""Counts the changes of what is below; a log of an older version is brought up to date."""

# One process makes a schema while the others wait: the number is ours alone.
_PROVISIONING: Final = 0x434F4E43_4F524441

_DEFINITIONS: Final = Path(__file__).with_name("postgres.sql")
_PLACEHOLDER: Final = re.compile(r"@(\w+)@")
# Read from the tables themselves: what a session remembers of names can be older than a lock.
_IS_THERE: Final = """
SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ? AND c.relname = 'audit_schema'"""
_GATEWAYS: Final = """
SELECT DISTINCT grantee FROM information_schema.role_table_grants
WHERE table_schema = ? AND table_name = 'audit_record' AND privilege_type = 'INSERT'
AND grantee NOT IN (current_user, 'PUBLIC')"""
_ROLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")

_RIGHTS: Final = (
    ("USAGE", "SCHEMA {schema}"),
    ("SELECT", "ALL TABLES IN SCHEMA {schema}"),
    (
        "INSERT",
        "{schema}.audit_record, {schema}.audit_key, {schema}.audit_tile, {schema}.audit_host",
    ),
    ("INSERT, UPDATE", "{schema}.audit_checkpoint"),
    ("UPDATE", "{schema}.audit_head, {schema}.audit_tree"),
    (
        "INSERT, UPDATE, DELETE",
        "{schema}.audit_open, {schema}.audit_claim, {schema}.audit_counter, {schema}.audit_recent,"
        " {schema}.audit_instance, {schema}.audit_barrier, {schema}.audit_grant,"
        " {schema}.audit_grant_words, {schema}.audit_grant_subject, {schema}.audit_hold,"
        " {schema}.audit_hold_version, {schema}.audit_day_person",
    ),
    ("EXECUTE", "ALL FUNCTIONS IN SCHEMA {schema}"),
)


def postgres_ddl(statement: str) -> str:
    """Return a table's definition for SQLite as PostgreSQL takes it, with the same types."""
    body = re.sub(r"\)\s*STRICT(\s*,\s*WITHOUT ROWID)?\s*$", ")", statement.strip())
    types = {"INTEGER": "bigint", "BLOB": "bytea", "TEXT": 'text COLLATE "C"'}
    return re.sub(r"\b(INTEGER|BLOB|TEXT)\b", lambda found: types[found.group()], body)


def provision(
    place: PostgresLog,
    origin: str,
    first: Sealed,
    empty_root: bytes,
    *,
    partition_records: int = PARTITION_RECORDS,
) -> None:
    """Make a shard with its first record if there is none, or bring an older one up to date.

    A log that is up to date is not touched, so that a role without the right to make tables
    can open it. Raises LogUnavailable if that cannot be done, or the schema is another log's.
    """
    try:
        session = open_session(place)
    except PostgresFailed as failure:
        raise LogUnavailable(f"the audit log cannot be opened: {failure}") from failure
    try:
        if _version(session, place) != SCHEMA_VERSION:
            version = begin_making(session, place)
            if version is None:
                create_shard(
                    session, place, origin, empty_root, lambda: first,
                    partition_records=partition_records,
                )  # fmt: skip
            elif version < SCHEMA_VERSION:  # else another process has done it meanwhile
                _define(session, partition_records)
                hand_on_rights(session, place, place)
                session.execute("UPDATE audit_schema SET version = ?", (SCHEMA_VERSION,))
            session.execute("COMMIT")
        found = session.execute("SELECT origin FROM audit_head").fetchone()[0]
    except PostgresFailed as failure:
        raise LogUnavailable(f"the audit log cannot be opened: {failure}") from failure
    finally:
        session.close()
    if found != origin:
        raise LogUnavailable(f"the audit schema belongs to the log {found}, not to {origin}")


def begin_making(session: PostgresSession, place: PostgresLog) -> int | None:
    """Begin a transaction in which nobody else makes a shard; return the version that is there."""
    session.execute("BEGIN")
    session.execute(f"SET LOCAL lock_timeout = {PROVISION_MS_MAX}")
    session.execute("SELECT pg_advisory_xact_lock(?)", (_PROVISIONING,))
    return _version(session, place)


def create_shard(
    session: PostgresSession,
    place: PostgresLog,
    origin: str,
    empty_root: bytes,
    opening: Callable[[], Sealed],
    *,
    partition_records: int = PARTITION_RECORDS,
) -> None:
    """Make a shard in the transaction that `begin_making` began; raises PostgresFailed.

    `opening` is asked for the first record once the tables are there.
    """
    session.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(place.schema)}")
    _define(session, partition_records)
    session.execute("INSERT INTO audit_head VALUES (1, ?, 1, 'open', 1)", (origin,))
    session.execute("INSERT INTO audit_tree VALUES (1, 0, ?, 0, 0)", (empty_root,))
    session.execute("INSERT INTO audit_schema VALUES (1, ?)", (SCHEMA_VERSION,))
    session.execute("SELECT audit_extend()")
    first = opening()
    session.execute(INSERT_RECORD, record_row(0, first))
    session.execute("INSERT INTO audit_recent VALUES (?, 0)", (first.record_id,))
    if first.wrapped_keys is not None:
        session.execute(INSERT_KEY, (0, first.day, first.wrapped_keys))


def is_provisioned(place: PostgresLog) -> bool:
    """Tell whether there is a shard; raises LogUnavailable where that cannot be told."""
    try:
        session = open_session(place, reads=True)
        try:
            return session.execute(_IS_THERE, (place.schema,)).fetchone() is not None
        finally:
            session.close()
    except PostgresFailed as failure:
        raise LogUnavailable(f"the audit log cannot be opened: {failure}") from failure


def hand_on_rights(session: PostgresSession, old: PostgresLog, new: PostgresLog) -> None:
    """Give everybody who has a gateway's rights on the `old` shard those on the `new` one."""
    for (role,) in session.execute(_GATEWAYS, (old.schema,)).fetchall():
        session.execute(_granting(new, quoted(role)))


def rights_for(place: PostgresLog, role: str) -> str:
    """Return the SQL that gives a role what a gateway needs, and no more; ValueError for its name.

    The role can add records, and change or remove none: what is durable changes only through
    `audit_erase`, which touches keys alone. Run it as the role that made the schema.
    """
    if _ROLE.fullmatch(role) is None:
        raise ValueError(f"{role!r} is no name for a role")
    return _granting(place, f'"{role}"')


def _granting(place: PostgresLog, role: str) -> str:
    """Return the SQL that gives a gateway's rights on a shard to a role, by its quoted name."""
    schema = quoted(place.schema)
    statements = [
        f"GRANT {rights} ON {objects.format(schema=schema)} TO {role};"
        for rights, objects in _RIGHTS
    ]
    return "\n".join(statements) + "\n"


def _version(session: PostgresSession, place: PostgresLog) -> int | None:
    if session.execute(_IS_THERE, (place.schema,)).fetchone() is None:
        return None
    version: int = session.execute("SELECT version FROM audit_schema").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise PostgresFailed(f"the log is of a newer version of the gateway ({version})")
    return version


def _define(session: PostgresSession, partition_records: int) -> None:
    """Make the tables, functions and guards that are not there yet, or not as they are now."""
    for statement in (*GRANT_TABLES, *DAY_PEOPLE_TABLES, *HOLD_TABLES):
        session.execute(postgres_ddl(statement))
    schema = quoted(session.execute("SELECT current_schema()").fetchone()[0])
    known = {kind.name.lower(): str(KIND_CODES[kind]) for kind in Kind}
    known |= {"step": str(partition_records), "schema": schema}
    definitions = _DEFINITIONS.read_text("utf-8")
    session.execute(_PLACEHOLDER.sub(lambda found: known[found.group(1)], definitions))
    session.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC")
