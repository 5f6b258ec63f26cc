"""Stops something, or ends a stop, and tells when every worker of the gateway goes by it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway import administration
from gateway.audit.store import LogUnavailable
from gateway.cli.audit_log import console_reader
from gateway.cli.configuration import open_registry
from gateway.cli.output import Exit, Stop
from gateway.clock import monotonic_s, monotonic_us
from gateway.registry.documents import Kind
from gateway.registry.store import Registry, RegistryUnavailable, StopKind, Stopped
from gateway.settings import Settings
from gateway.telemetry import live_workers
from policies.reading import nearest

EFFECT_WAIT_S: Final = 5.0
"""How long a command waits for the workers; one that has not read the list by then refuses all."""
_LOOK_S: Final = 0.02

_DOCUMENTS: Final = {
    StopKind.AGREEMENT: Kind.AGREEMENT,
    StopKind.ISSUER: Kind.ISSUER,
    StopKind.SERVICE: Kind.SERVICE,
}
"""Kinds of which the registry knows every one: a name that it does not know is a slip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a command did, and where it is in force.

    `changed` is False where it was so already. `workers` are the processes that go by it, `behind`
    those that did not within `EFFECT_WAIT_S`; both are empty while no gateway runs.
    """

    kind: StopKind
    key: str
    stopped: bool
    changed: bool
    workers: tuple[int, ...]
    behind: tuple[int, ...]
    waited_s: float

    def as_data(self) -> Mapping[str, Any]:
        """Return it as plain values for programs."""
        return {
            "kind": self.kind.value,
            "key": self.key,
            "stopped": self.stopped,
            "changed": self.changed,
            "workers": list(self.workers),
            "behind": list(self.behind),
            "waited_s": round(self.waited_s, 3),
        }

    def sentences(self) -> tuple[str, ...]:
        """Return it for a person."""
        done = "stopped" if self.stopped else "no longer stopped"
        told = f"{self.kind} {self.key} is {done}."
        if not self.changed:
            before = "was stopped already" if self.stopped else "was not stopped"
            told = f"{self.kind} {self.key} {before}; nothing was changed."
        if not self.workers and not self.behind:
            return (told, "No gateway of this home runs; it holds from the next start on.")
        there = len(self.workers) + len(self.behind)
        where = f"In force on {len(self.workers)} of {there} workers after {self.waited_s:.2f} s."
        return (told, where)


def stop_now(settings: Settings, kind: StopKind, key: str, reason: str) -> Effect:
    """Stop something, and wait until every worker refuses by it.

    Raises:
        Stop: the registry knows nothing of that name, or nothing could be recorded or changed.
    """
    return _change(settings, kind, key, reason, stopped=True)


def resume_now(settings: Settings, kind: StopKind, key: str, reason: str) -> Effect:
    """End a stop, and wait until every worker goes by it; raises as `stop_now` does."""
    return _change(settings, kind, key, reason, stopped=False)


def stops_of(settings: Settings) -> tuple[Stopped, ...]:
    """Return everything that is stopped; raises Stop where the registry does not answer."""
    with open_registry(settings) as registry:
        return registry.stopped()


def _change(settings: Settings, kind: StopKind, key: str, reason: str, *, stopped: bool) -> Effect:
    if stopped:
        with open_registry(settings) as registry:
            _check_known(registry, kind, key)
    change = administration.stop if stopped else administration.resume
    by = f"concordat {'stop' if stopped else 'resume'}"
    try:
        changed = change(settings, kind, key, reason=reason, by=by, who=console_reader())
    except LogUnavailable as unavailable:
        mend = "nothing was changed; `concordat doctor` says what is wrong with the audit log"
        raise Stop(str(unavailable), mend=mend, code=Exit.FAILED) from None
    except RegistryUnavailable as unavailable:
        mend = f"concordat doctor --home {settings.home}"
        raise Stop(f"nothing was changed: {unavailable}", mend=mend) from None
    if not changed and not stopped:
        # Somebody who ends a stop that there is not has perhaps mistyped it.
        with open_registry(settings) as registry:
            _check_known(registry, kind, key)
    committed_us, begun_s = monotonic_us(), monotonic_s()
    workers, behind = _await_workers(settings, committed_us)
    return Effect(
        kind=kind,
        key=key,
        stopped=stopped,
        changed=changed,
        workers=workers,
        behind=behind,
        waited_s=monotonic_s() - begun_s,
    )


def _check_known(registry: Registry, kind: StopKind, key: str) -> None:
    """Refuse a name that nothing has: whoever mistypes it believes that something is stopped."""
    if kind not in _DOCUMENTS:
        return
    known: Collection[str] = registry.newest(_DOCUMENTS[kind])
    if key not in known:
        mend = f"concordat stop add --help; the registry has no such {kind}"
        raise Stop(f"there is no {kind} {key!r}{nearest(key, known)}", mend=mend)


def _await_workers(
    settings: Settings, committed_us: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Wait until every worker has asked for the stop-list since; return who has, and who has not.

    Workers and commands of one machine share the monotonic clock.
    """
    deadline_s = monotonic_s() + EFFECT_WAIT_S
    while True:
        workers = live_workers(settings.run_directory)
        behind = tuple(it.pid for it in workers if it.read_at_us < committed_us)
        if not behind or monotonic_s() > deadline_s:
            return tuple(it.pid for it in workers if it.pid not in behind), behind
        time.sleep(_LOOK_S)
