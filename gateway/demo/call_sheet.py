"""Reads the calls of a scenario pack strictly: an unknown word is an error, not a guess."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from gateway.demo.scenario import (
    AuditExpectation,
    AuthoringRefusal,
    BreakGlass,
    CallSheet,
    Expectation,
    PackInvalid,
    ProofKind,
    ScenarioCall,
    TokenFacts,
)
from gateway.documents import Document, load_document

CALLS_FOLDER: Final = "calls"
"""Where a pack keeps its calls, one YAML file per scenario."""
BATCH_ROWS_MAX: Final = 99_999
"""Rows of a batch that are made up: as many as there are NHS numbers of the test range for."""
PEOPLE_MAX: Final = 100_000
"""People whom a call may declare to be covered by its urgent grant."""
_SUFFIXES: Final = (".yaml", ".yml")

_Kind = TypeVar("_Kind", str, int, bool)


def read_calls(pack: Path, files: Sequence[Path] = ()) -> CallSheet:
    """Read the calls of `pack`, or those of `files` in their place.

    Raises:
        PackInvalid: there are none, or one cannot be read.
        gateway.documents.DocumentInvalid: a file is not the YAML we take.
    """
    found = sorted((pack / CALLS_FOLDER).glob("*"))
    paths = tuple(files) or tuple(path for path in found if path.suffix in _SUFFIXES)
    if not paths:
        raise PackInvalid(f"{pack / CALLS_FOLDER} holds no calls ({', '.join(_SUFFIXES)})")
    sheets = [_read_sheet(path) for path in paths]
    whole = CallSheet(
        calls=tuple(call for sheet in sheets for call in sheet.calls),
        authoring_refusals=tuple(one for sheet in sheets for one in sheet.authoring_refusals),
    )
    if not whole.calls and not whole.authoring_refusals:
        names = ", ".join(str(path) for path in paths)
        raise PackInvalid(f"{names}: neither calls nor authoring_refusals, so nothing can be told")
    return whole


_TOKEN_WORDS: Final = frozenset(
    {
        "org",
        "client",
        "issuer",
        "sub",
        "roles",
        "acr",
        "purpose",
        "agreement",
        "context",
        "break_glass",
        "on_behalf_of",
        "sender_constrained",
    }
)
_CALL_WORDS: Final = _TOKEN_WORDS | frozenset(
    {
        "id",
        "title",
        "at",
        "method",
        "path",
        "query",
        "body",
        "proof",
        "connector_returns",
        "decision_already_used",
        "expect",
        "audit",
    }
)
_EXPECT_WORDS: Final = frozenset(
    {
        "decision",
        "status",
        "reason",
        "rule",
        "records",
        "fields",
        "fields_withheld",
        "redacted_subjects",
        "eligible",
        "content_type",
        "hint",
    }
)
_AUDIT_WORDS: Final = frozenset(
    {"action", "subjects", "instrument", "alert", "notify", "review_due", "subject_view", "note"}
)
_SHEET_WORDS: Final = frozenset(
    {"scenario", "agreement", "defaults", "calls", "authoring_refusals"}
)
_BREAK_GLASS_WORDS: Final = frozenset({"reason", "justification", "started_at", "subjects_so_far"})
_REFUSAL_WORDS: Final = frozenset({"id", "title", "agreement", "change", "expect"})
_ERROR_WORDS: Final = frozenset({"error"})


class _Words:
    """A mapping read word by word; every complaint says where it is."""

    def __init__(self, value: object, where: str, words: frozenset[str] | None) -> None:
        if not isinstance(value, Mapping):
            raise PackInvalid(f"{where}: expected a mapping")
        unknown = set() if words is None else {str(word) for word in value} - words
        if unknown:
            raise PackInvalid(f"{where}: unknown word {', '.join(sorted(unknown))}")
        self.value: Mapping[str, object] = {str(word): item for word, item in value.items()}
        self.where = where

    def text(self, word: str) -> str:
        found = self._typed(word, str)
        if found is None:
            raise PackInvalid(f"{self.where}: {word} is missing")
        return found

    def name(self, word: str) -> str:
        """Return a name; one of digits alone is a number to YAML."""
        found = self.value.get(word)
        return str(found) if type(found) is int else self.text(word)

    def text_or_none(self, word: str) -> str | None:
        return self._typed(word, str)

    def integer(self, word: str) -> int | None:
        return self._typed(word, int)

    def count(self, word: str, maximum: int) -> int | None:
        """Return a number of things of which there may be up to `maximum`."""
        found = self.integer(word)
        if found is not None and not 0 <= found <= maximum:
            raise PackInvalid(f"{self.where}: {word} is 0 to {maximum}, not {found}")
        return found

    def flag(self, word: str) -> bool:
        return self._typed(word, bool) or False

    def texts(self, word: str) -> tuple[str, ...]:
        found = self.value.get(word)
        if found is None:
            return ()
        if not isinstance(found, Sequence) or isinstance(found, str):
            raise PackInvalid(f"{self.where}: {word} must be a list")
        return tuple(str(item) for item in found)

    def instant(self, word: str) -> datetime | None:
        written = self.text_or_none(word)
        if written is None:
            return None
        try:
            at = datetime.fromisoformat(written)
        except ValueError:
            raise PackInvalid(f"{self.where}: {word} is not an instant: {written}") from None
        if at.tzinfo is None:
            raise PackInvalid(f"{self.where}: {word} has no offset: {written}")
        try:
            return at.astimezone(UTC)
        except OverflowError:
            message = f"{self.where}: {word} is before the year 1 or after 9999 in UTC: {written}"
            raise PackInvalid(message) from None

    def _typed(self, word: str, kind: type[_Kind]) -> _Kind | None:
        found = self.value.get(word)
        if found is None:
            return None
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise PackInvalid(f"{self.where}: {word} must be {_KIND_NAMES[kind]}")
        return found


_KIND_NAMES: Final = {str: "a text", int: "a whole number", bool: "true or false"}


def _read_sheet(path: Path) -> CallSheet:
    document = load_document(path)
    sheet = _Words(document.value, str(path), _SHEET_WORDS)
    defaults = _Words(sheet.value.get("defaults") or {}, f"{path}: defaults", _CALL_WORDS)
    agreed = {"agreement": sheet.value.get("agreement")}
    base = {**agreed, **defaults.value}
    return CallSheet(
        calls=tuple(
            _read_call(item, base, place) for item, place in _list(sheet, "calls", document)
        ),
        authoring_refusals=tuple(
            _read_refusal(item, agreed, place)
            for item, place in _list(sheet, "authoring_refusals", document)
        ),
    )


def _list(words: _Words, word: str, document: Document) -> Iterator[tuple[object, str]]:
    """Yield the members of a list, each with its file, line and column."""
    found = words.value.get(word)
    if found is None:
        return
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise PackInvalid(f"{words.where}: {word} must be a list")
    for number, item in enumerate(found):
        line, column = document.locate((word, number))
        yield item, f"{document.path}:{line}:{column}"


def _read_refusal(value: object, base: Mapping[str, object], place: str) -> AuthoringRefusal:
    own = _Words(value, f"{place}: an attempt", _REFUSAL_WORDS)
    words = _Words({**base, **own.value}, f"{place}: attempt {own.name('id')}", _REFUSAL_WORDS)
    change = _Words(words.value.get("change") or {}, f"{words.where}: change", None)
    expect = _Words(words.value.get("expect") or {}, f"{words.where}: expect", _ERROR_WORDS)
    return AuthoringRefusal(
        id=words.name("id"),
        title=words.text_or_none("title") or "",
        agreement=words.text_or_none("agreement"),
        change=change.value,
        error=expect.text_or_none("error"),
    )


def _read_call(value: object, base: Mapping[str, object], place: str) -> ScenarioCall:
    own = _Words(value, f"{place}: a call", _CALL_WORDS)
    where = f"{place}: call {own.name('id')}"
    words = _Words({**base, **own.value}, where, _CALL_WORDS)
    at = words.instant("at")
    if at is None:
        raise PackInvalid(f"{where}: at is missing")
    body, batch_rows = _read_body(words)
    proof = words.text_or_none("proof") or ProofKind.GOOD
    if proof not in set(ProofKind):
        raise PackInvalid(f"{where}: proof is none, other_key or other_method, not {proof}")
    return ScenarioCall(
        id=words.name("id"),
        title=words.text_or_none("title") or "",
        at=at,
        token=_read_token(words),
        method=words.text("method"),
        path=words.text("path"),
        query=_read_query(words),
        body=body,
        batch_rows=batch_rows,
        proof=ProofKind(proof),
        connector_returns=words.text_or_none("connector_returns"),
        decision_already_used=words.flag("decision_already_used"),
        expect=_read_expectation(words),
        audit=_read_audit(words),
    )


def _read_token(words: _Words) -> TokenFacts:
    context = _Words(words.value.get("context") or {}, f"{words.where}: context", None)
    urgent = words.value.get("break_glass")
    return TokenFacts(
        organisation=words.text("org"),
        client=words.text_or_none("client"),
        issuer=words.text_or_none("issuer"),
        subject=words.text_or_none("sub"),
        roles=words.texts("roles"),
        acr=words.text_or_none("acr"),
        purpose=words.text_or_none("purpose"),
        agreement=words.text_or_none("agreement"),
        context={word: context.text(word) for word in context.value},
        on_behalf_of=words.text_or_none("on_behalf_of"),
        break_glass=None if urgent is None else _read_break_glass(urgent, words.where),
        bound=words.flag("sender_constrained"),
    )


def _read_break_glass(value: object, where: str) -> BreakGlass:
    words = _Words(value, f"{where}: break_glass", _BREAK_GLASS_WORDS)
    return BreakGlass(
        reason=words.text("reason"),
        justification=words.text("justification"),
        started_at=words.instant("started_at"),
        subjects_so_far=words.count("subjects_so_far", PEOPLE_MAX) or 0,
    )


def _read_query(words: _Words) -> tuple[tuple[str, str], ...]:
    query = _Words(words.value.get("query") or {}, f"{words.where}: query", None)
    pairs: list[tuple[str, str]] = []
    for name, value in query.value.items():
        several = value if isinstance(value, list) else [value]
        pairs.extend((name, str(one)) for one in several)
    return tuple(pairs)


def _read_body(words: _Words) -> tuple[Mapping[str, object] | None, int | None]:
    value = words.value.get("body")
    if value is None:
        return None, None
    body = _Words(value, f"{words.where}: body", None)
    if set(body.value) == {"batch_size"}:
        return None, body.count("batch_size", BATCH_ROWS_MAX)
    return body.value, None


def _read_expectation(words: _Words) -> Expectation:
    expect = _Words(words.value.get("expect"), f"{words.where}: expect", _EXPECT_WORDS)
    status = expect.integer("status")
    if status is None:
        raise PackInvalid(f"{expect.where}: status is missing")
    return Expectation(
        decision=expect.text("decision"),
        status=status,
        reason=expect.text("reason"),
        rule=expect.text_or_none("rule"),
        records=expect.integer("records"),
        fields=frozenset(expect.texts("fields")) if "fields" in expect.value else None,
        fields_withheld=frozenset(expect.texts("fields_withheld")),
        redacted_subjects=expect.integer("redacted_subjects"),
        eligible=expect.integer("eligible"),
        content_type=expect.text_or_none("content_type"),
        hint=expect.text_or_none("hint"),
    )


def _read_audit(words: _Words) -> AuditExpectation:
    audit = _Words(words.value.get("audit") or {}, f"{words.where}: audit", _AUDIT_WORDS)
    return AuditExpectation(
        action=audit.text_or_none("action"),
        subjects=audit.integer("subjects"),
        instrument=audit.text_or_none("instrument"),
        alert=audit.flag("alert"),
        notify=frozenset(audit.texts("notify")),
        review_due=audit.instant("review_due"),
        subject_view=audit.text_or_none("subject_view"),
    )
