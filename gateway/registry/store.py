"""The registry: every state of the configuration, what is stopped, and who may begin."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from gateway.clock import random_bytes, system_time_us
from gateway.database import name_of, reading, writing
from gateway.registry.documents import Configuration, Kind
from gateway.registry.tables import ConfigurationDocument, Revision, Secret, Stop
from policies.document import canonical_bytes, digest

BOOTSTRAP_SECRET: Final = "bootstrap"  # noqa: S105 - its name, not the secret
_SECRET_BYTES: Final = 32
# Made once: every worker reads the stop-list several times a second.
_STOPS: Final = select(Stop.kind, Stop.key)


class StopKind(StrEnum):
    """What can be stopped at once, without compiling anything.

    A grant is a user's urgent access under one agreement; its key is the `grant` of its records.
    """

    AGREEMENT = "agreement"
    CLIENT = "client"
    ISSUER = "issuer"
    SERVICE = "service"
    PEER = "peer"
    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a kind of thing, not a secret
    GRANT = "grant"


class RegistryUnavailable(Exception):
    """The registry's database cannot be read or written now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an `apply` changed, as (kind, key) pairs; an unchanged registry keeps its revision.

    `digest` is the SHA-256 of all that is present afterwards: of the canonical JSON of its
    documents' kinds, keys and digests, in order.
    """

    revision: int
    digest: str = field(default="", compare=False)
    added: tuple[tuple[Kind, str], ...] = ()
    changed: tuple[tuple[Kind, str], ...] = ()
    removed: tuple[tuple[Kind, str], ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether everything is as it was."""
        return not (self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state of one document: present from revision `since` until before `until`."""

    document: Mapping[str, object]
    digest: str
    since: int
    until: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Something that is stopped; `at_us` is system time in microseconds since 1970."""

    kind: StopKind
    key: str
    reason: str
    by: str
    at_us: int


class Registry:
    """Reads and changes the registry, one transaction each; synchronous, so call it in a thread.

    Every method raises RegistryUnavailable where the database does not answer.
    """

    def __init__(self, engine: Engine) -> None:
        """Use a database that `gateway.database.upgrade` has brought up to date."""
        self._engine = engine

    def revision(self) -> int:
        """Return the number of the present configuration; 0 where none was ever applied."""
        with _failures(), reading(self._engine) as connection:
            return _revision(connection)

    def load(self) -> tuple[int, Configuration]:
        """Return the present configuration and its revision, read together."""
        with _failures(), reading(self._engine) as connection:
            revision = _revision(connection)
            return revision, _configuration(connection.execute(_present()))

    def load_at(self, revision: int) -> Configuration:
        """Return the configuration that was the present one at an earlier revision."""
        table = ConfigurationDocument.__table__
        then = select(table).where(
            table.c.since <= revision, or_(table.c.until.is_(None), table.c.until > revision)
        )
        with _failures(), reading(self._engine) as connection:
            return _configuration(connection.execute(then))

    def apply(
        self,
        configuration: Configuration,
        *,
        by: str,
        record: Callable[[Changes], None] = lambda _: None,
    ) -> Changes:
        """Make `configuration` the present one, whole; what it lacks is no longer present.

        `record` is called with what changes before any of it is in force; if it raises, nothing
        changes.
        The caller has compiled it first, so that nothing is applied that cannot be enforced.
        """
        wanted = {
            (kind, key): (digest(document), canonical_bytes(document).decode())
            for kind, key, document in configuration.documents()
        }
        with _failures(), writing(self._engine) as connection:
            revision = _revision(connection)
            present = {
                (Kind(row.kind), row.key): row.digest for row in connection.execute(_present())
            }
            changes = _compare(revision + 1, present, {key: it[0] for key, it in wanted.items()})
            if changes.nothing:
                return replace(changes, revision=revision)
            record(changes)
            _record_revision(connection, changes.revision, by)
            for kind, key in (*changes.changed, *changes.removed):
                _end(connection, kind, key, changes.revision)
            for kind, key in (*changes.added, *changes.changed):
                connection.execute(
                    insert(ConfigurationDocument).values(
                        kind=kind,
                        key=key,
                        digest=wanted[kind, key][0],
                        content=wanted[kind, key][1],
                        since=changes.revision,
                    )
                )
        return changes

    def compare(self, configuration: Configuration) -> Changes:
        """Return what `apply` would change, and change nothing; `revision` is the present one."""
        revision, present = self.load()
        return changes_between(revision, present, configuration)

    def present(self, kind: Kind) -> tuple[State, ...]:
        """Return the present documents of one kind, in the order of their keys."""
        with _failures(), reading(self._engine) as connection:
            rows = connection.execute(_present().where(ConfigurationDocument.kind == kind))
            return tuple(_state(row) for row in _in_order(rows))

    def history(self, kind: Kind, key: str) -> tuple[State, ...]:
        """Return every state that a document ever had, newest first; empty if it never existed."""
        chosen = (
            select(ConfigurationDocument.__table__)
            .where(ConfigurationDocument.kind == kind, ConfigurationDocument.key == key)
            .order_by(ConfigurationDocument.since.desc())
        )
        with _failures(), reading(self._engine) as connection:
            return tuple(_state(row) for row in connection.execute(chosen))

    def newest(self, kind: Kind) -> Mapping[str, State]:
        """Return by key the newest state of every document of a kind, removed ones as well."""
        table = ConfigurationDocument.__table__
        last = (
            select(table.c.key, func.max(table.c.since).label("since"))
            .where(table.c.kind == kind)
            .group_by(table.c.key)
            .subquery()
        )
        chosen = select(table).join(
            last, and_(table.c.key == last.c.key, table.c.since == last.c.since)
        )
        with _failures(), reading(self._engine) as connection:
            rows = connection.execute(chosen.where(table.c.kind == kind))
            return {row.key: _state(row) for row in rows}

    def stop(
        self,
        kind: StopKind,
        key: str,
        *,
        reason: str,
        by: str,
        record: Callable[[], None] = lambda: None,
    ) -> bool:
        """Stop something at once; tell whether it was not stopped already.

        `record` is called before the stop is in force; if it raises, nothing is stopped.
        """
        with _failures(), writing(self._engine) as connection:
            if connection.execute(_stop_of(kind, key)).first() is not None:
                return False
            record()
            connection.execute(
                insert(Stop).values(
                    kind=kind, key=key, reason=reason, stopped_by=by, stopped_at_us=system_time_us()
                )
            )
            return True

    def resume(
        self, kind: StopKind, key: str, *, record: Callable[[], None] = lambda: None
    ) -> bool:
        """End a stop; tell whether there was one.

        `record` is called before the stop ends; if it raises, it stays.
        """
        with _failures(), writing(self._engine) as connection:
            if connection.execute(_stop_of(kind, key)).first() is None:
                return False
            record()
            connection.execute(delete(Stop).where(Stop.kind == kind, Stop.key == key))
            return True

    def stops(self) -> frozenset[tuple[str, str]]:
        """Return everything that is stopped now, as (kind, key) pairs."""
        with _failures(), reading(self._engine) as connection:
            rows = connection.execute(_STOPS)
            return frozenset((row.kind, row.key) for row in rows)

    def stopped(self) -> tuple[Stopped, ...]:
        """Return everything that is stopped now, the newest first, with why and by whom."""
        chosen = select(Stop.__table__).order_by(Stop.stopped_at_us.desc(), Stop.kind, Stop.key)
        with _failures(), reading(self._engine) as connection:
            return tuple(
                Stopped(
                    kind=StopKind(row.kind),
                    key=row.key,
                    reason=row.reason,
                    by=row.stopped_by,
                    at_us=row.stopped_at_us,
                )
                for row in connection.execute(chosen)
            )

    def make_bootstrap_secret(self) -> str:
        """Make the first operator's secret and return it, once; an earlier one ends."""
        secret = base64.urlsafe_b64encode(random_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
        with _failures(), writing(self._engine) as connection:
            connection.execute(delete(Secret).where(Secret.name == BOOTSTRAP_SECRET))
            connection.execute(
                insert(Secret).values(
                    name=BOOTSTRAP_SECRET, sha256=_sha256(secret), made_at_us=system_time_us()
                )
            )
        return secret

    def is_bootstrap_secret(self, unverified_secret: str) -> bool:
        """Compare with the bootstrap secret in constant time.

        A plain hash is enough for a secret of 256 random bits: there is nothing to guess.
        """
        chosen = select(Secret.sha256).where(Secret.name == BOOTSTRAP_SECRET)
        with _failures(), reading(self._engine) as connection:
            kept = connection.execute(chosen).scalar()
        return kept is not None and hmac.compare_digest(kept, _sha256(unverified_secret))


class _failures:  # noqa: N801 - it reads as a statement: with _failures()
    """Turns a database's failure into the registry's own."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SQLAlchemyError):
            # Without the cause: it may name the statement, and what was in it.
            raise RegistryUnavailable(f"the registry does not answer: {name_of(error)}") from None


def _configuration(rows: Iterable[Row[Any]]) -> Configuration:
    documents: dict[Kind, dict[str, Mapping[str, object]]] = {kind: {} for kind in Kind}
    for row in _in_order(rows):
        documents[Kind(row.kind)][row.key] = json.loads(row.content)
    return Configuration.of(documents)


def changes_between(revision: int, was: Configuration, will_be: Configuration) -> Changes:
    """Return what changes from one configuration, that of `revision`, to another."""
    return _compare(revision, _digests(was), _digests(will_be))


def _digests(configuration: Configuration) -> dict[tuple[Kind, str], str]:
    return {(kind, key): digest(document) for kind, key, document in configuration.documents()}


def _present() -> Select[tuple[Any, ...]]:
    """Return the query of everything that is present now."""
    return select(ConfigurationDocument.__table__).where(ConfigurationDocument.until.is_(None))


def _in_order(rows: Iterable[Row[Any]]) -> list[Row[Any]]:
    """Sort documents by code points, as every database does not: some know a language's order."""
    return sorted(rows, key=lambda row: (row.kind, row.key))


def _stop_of(kind: StopKind, key: str) -> Select[str]:
    return select(Stop.key).where(Stop.kind == kind, Stop.key == key)


def _revision(connection: Connection) -> int:
    return connection.execute(select(func.max(Revision.number))).scalar() or 0


def _record_revision(connection: Connection, number: int, by: str) -> None:
    connection.execute(
        insert(Revision).values(number=number, changed_at_us=system_time_us(), changed_by=by)
    )


def _end(connection: Connection, kind: Kind, key: str, revision: int) -> None:
    connection.execute(
        update(ConfigurationDocument)
        .where(
            ConfigurationDocument.kind == kind,
            ConfigurationDocument.key == key,
            ConfigurationDocument.until.is_(None),
        )
        .values(until=revision)
    )


def _compare(
    revision: int,
    present: Mapping[tuple[Kind, str], str],
    wanted: Mapping[tuple[Kind, str], str],
) -> Changes:
    documents = [[kind, key, wanted[kind, key]] for kind, key in sorted(wanted)]
    return Changes(
        revision=revision,
        digest=digest({"documents": documents}),
        added=tuple(sorted(wanted.keys() - present.keys())),
        changed=tuple(
            sorted(it for it in wanted.keys() & present.keys() if wanted[it] != present[it])
        ),
        removed=tuple(sorted(present.keys() - wanted.keys())),
    )


def _state(row: Row[Any]) -> State:
    return State(
        document=json.loads(row.content), digest=row.digest, since=row.since, until=row.until
    )


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
