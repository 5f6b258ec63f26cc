"""The registry's tables; only this package and the migrations read them."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, MetaData, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables, with names for their constraints so that migrations can find them."""

    metadata = MetaData(naming_convention=_NAMES)


class Revision(Base):
    """One change of the configuration as a whole; the highest number is the present state.

    `changed_at_us` is system time in microseconds since 1970.
    """

    __tablename__ = "revision"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    changed_at_us: Mapped[int] = mapped_column(BigInteger)
    changed_by: Mapped[str]


class ConfigurationDocument(Base):
    """One state of one configuration document, kept for ever.

    It is present from revision `since` until before revision `until`; None means that it still is.
    `content` is the canonical JSON whose SHA-256 is `digest`, so that what was in force at any
    revision can be shown byte for byte.
    """

    __tablename__ = "configuration_document"
    __table_args__ = (
        Index(
            "ix_configuration_document_present",
            "kind",
            "key",
            unique=True,
            sqlite_where=text("until IS NULL"),
            postgresql_where=text("until IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    key: Mapped[str]
    digest: Mapped[str]
    content: Mapped[str]
    since: Mapped[int] = mapped_column(ForeignKey("revision.number"))
    until: Mapped[int | None] = mapped_column(ForeignKey("revision.number"))


class Stop(Base):
    """Something that may not be used any more: suspended or revoked, whatever the documents say."""

    __tablename__ = "stop"

    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    stopped_by: Mapped[str]
    stopped_at_us: Mapped[int] = mapped_column(BigInteger)


class Secret(Base):
    """The SHA-256 of a secret that the gateway made; the secret itself is nowhere."""

    __tablename__ = "secret"

    name: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[bytes]
    made_at_us: Mapped[int] = mapped_column(BigInteger)
