"""The demo from curtain to curtain: start the world, play the calls, check the log, tell it all."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log, verify_log
from gateway.audit.verify import Report
from gateway.clock import monotonic_s
from gateway.data_plane import log_home, log_origin
from gateway.demo.evaluate import SUCCESS, would_permit
from gateway.demo.judge import Result, Results, Standing
from gateway.demo.packs import Pack
from gateway.demo.play import Stage, play
from gateway.demo.report import as_json, counts_line, difference_lines, table_of
from gateway.demo.scenario import ScenarioCall
from gateway.demo.world import PREFERRED_PORTS, Listeners, open_world
from gateway.settings import Settings

CHECKPOINT_S_MAX: Final = 10.0
"""Seconds in which a checkpoint must cover everything that was played (it takes about one)."""
_LOOK_AGAIN_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """What was played and found, while its world is still open."""

    pack: Pack
    settings: Settings
    stage: Stage
    results: Results
    log: Report
    signed: bool

    @property
    def passed(self) -> bool:
        """Whether every call that was judged came out as expected, and the log verifies."""
        return self.results.passed and self.log.ok and self.signed

    @property
    def last_at(self) -> datetime:
        """The instant of the last call; where there is none, what the demo's clock shows."""
        calls = self.pack.sheet.calls
        return calls[-1].at if calls else self.stage.clock.now()

    def run_on(self) -> None:
        """Let decision time run forward from the last call's instant."""
        self.stage.clock.run_from(self.last_at)

    def as_renderables(self, *, serving: bool) -> list[RenderableType]:
        """Return what a person is shown; `serving` says whether the world stays open."""
        return [
            table_of(self.results, title="The calls, over HTTP"),
            *difference_lines(self.results),
            counts_line(self.results),
            self._log_line(),
            *self._addresses(),
            *self._commands(serving=serving),
        ]

    def as_json(self) -> dict[str, object]:
        """Return the same as plain JSON values."""
        return {
            "passed": self.passed,
            **as_json(self.results),
            "log": {
                "size": self.log.size,
                "root": self.log.root.hex(),
                "signed_size": self.log.signed_size,
                "checkpoints": self.log.checkpoints,
                "verified": self.log.ok and self.signed,
                "faults": [{"index": fault.at, "what": fault.what} for fault in self.log.faults],
            },
            "home": str(self.settings.home),
            "data_url": self.stage.gateway_url,
            "control_url": self.stage.control_url,
            "operator_secret": self.stage.operator_secret,
        }

    def _log_line(self) -> Text:
        sound = self.log.ok and self.signed
        said = "verified" if sound else f"NOT VERIFIED: {self._log_fault()}"
        text = Text(f"Audit log: {self.log.size} records, root {self.log.root.hex()[:16]}…, ")
        return text.append(said, style="green" if sound else "bold red")

    def _log_fault(self) -> str:
        if self.log.faults:
            first = self.log.faults[0]
            return f"at index {first.at}, {first.what}"
        return f"signed up to {self.log.signed_size} only"

    def _addresses(self) -> Iterator[RenderableType]:
        stage = self.stage
        yield ""
        yield f"Data listener     {stage.gateway_url}"
        yield f"Control listener  {stage.control_url}  (what each refusal means: /problems)"
        yield f"Operator's secret {stage.operator_secret}"
        yield f"Home              {self.settings.home}"
        usual = f"http://127.0.0.1:{PREFERRED_PORTS[0]}"
        if stage.gateway_url != usual:
            yield f"(Port {PREFERRED_PORTS[0]} is taken, so others were chosen.)"

    def _commands(self, *, serving: bool) -> Iterator[RenderableType]:
        """Yield three commands to try, out of what this pack holds."""
        home = f" --home {shlex.quote(str(self.settings.home))}"
        yield ""
        if serving:
            yield "Try, in another terminal:"
        else:
            yield "Everything stops now. Without --exit it serves on, and you could try:"
        refused = self._first(lambda result: result.observed.rule is not None and _denied(result))
        if refused is not None:
            yield f"  concordat audit search --reason {refused.call.expect.reason}{home}"
        permitted = self._first(
            lambda result: (
                not result.call.token.public
                and result.call.expect.status in SUCCESS
                and would_permit(result.call, self.pack, self.last_at)
            )
        )
        if permitted is not None:
            yield f"  {_call_command(permitted.call)}{home}"
        public = self._first(lambda result: result.call.token.public)
        if public is not None:
            yield f"  curl {self.stage.gateway_url}{public.call.path}"

    def _first(self, wanted: Callable[[Result], bool]) -> Result | None:
        passed = (r for r in self.results.results if r.standing is Standing.PASSED)
        return next((result for result in passed if wanted(result)), None)


@contextmanager
def run_show(
    pack: Pack, settings: Settings, operator_secret: str, listeners: Listeners
) -> Iterator[Show]:
    """Play `pack` in a home that was just made; the world lives as long as the context.

    Raises what `open_world` and `play` raise.
    """
    with open_world(pack, settings, operator_secret, listeners) as stage:
        results = play(pack, stage)
        report = _verify(settings)
        yield Show(
            pack=pack,
            settings=settings,
            stage=stage,
            results=results,
            log=report,
            signed=report.signed_size == report.size,
        )


def _verify(settings: Settings) -> Report:
    """Verify the log while it is open, once a signed checkpoint covers all of it."""
    keys = LogKeys(settings.keys_directory)
    vkey = keys.signer(log_origin(settings)).verifier.vkey()
    path = find_log(log_home(settings))
    deadline_s = monotonic_s() + CHECKPOINT_S_MAX
    pause = Event()
    while True:
        report = verify_log(path, vkey=vkey, keys=keys)
        if report.signed_size == report.size or monotonic_s() > deadline_s:
            return report
        pause.wait(_LOOK_AGAIN_S)


def _denied(result: Result) -> bool:
    return result.call.expect.decision == "deny"


def _call_command(call: ScenarioCall) -> str:
    query = "&".join(f"{name}={value}" for name, value in call.query)
    path = f"{call.path}?{query}" if query else call.path
    body = f" --body {shlex.quote(json.dumps(call.body))}" if call.body else ""
    return f"concordat call {call.method} {shlex.quote(path)} --client {call.token.client}{body}"
