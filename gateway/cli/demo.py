"""`concordat demo`: plays the scenarios against a real gateway on loopback."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from gateway.cli.options import Json
from gateway.cli.output import Exit, Stop, line, show, show_json, tell
from gateway.cli.policy import CallFiles, PackFolder, open_pack
from gateway.cli.policy_pack import rules_of_pack

if TYPE_CHECKING:
    from gateway.cli.home import NewHome
    from gateway.demo.packs import Pack
    from gateway.demo.show import Show
    from gateway.demo.world import Listeners


_WORKERS: Final = 2
"""Data-plane processes of the demo: enough to be several, few enough to start fast."""
_WORKERS_MAX: Final = 16


def demo(
    pack: PackFolder = None,
    calls: CallFiles = None,
    exit_: Annotated[
        bool, typer.Option("--exit", help="Stop everything after the calls, instead of serving on.")
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            metavar="DIR",
            help="New or empty directory to keep the demo's files in. "
            "Default: a temporary one, removed at the end.",
            show_default=False,
        ),
    ] = None,
    *,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            max=_WORKERS_MAX,
            help="How many processes carry out exchanges.",
        ),
    ] = _WORKERS,
    as_json: Json = False,
) -> None:
    """Start issuers, departments and a gateway on loopback, and play a pack's calls over HTTP.

    Everything is real but the time, which is set call by call. The calls' answers and records are
    compared with what the pack expects, and the audit log is verified. Afterwards the demo keeps
    serving, its time running on from the last call's, until Ctrl-C. Exit 1 if anything differs.
    """
    from gateway.audit.store import LogUnavailable
    from gateway.demo.show import run_show
    from gateway.demo.world import HomeUsed, WorldFailed, open_listeners

    signal.signal(signal.SIGTERM, _stop_on_sigterm)
    opened = open_pack(pack, calls)
    rules_of_pack(opened)  # for its faults: a gateway without rules would refuse everything
    tell(f"Starting departments, issuers and a gateway, to play {len(opened.sheet.calls)} calls.")
    try:
        with (
            open_listeners() as listeners,
            _home_of(opened, home, workers, listeners) as made,
            run_show(opened, made.settings, made.operator_secret, listeners) as shown,
        ):
            _present(shown, as_json=as_json, serving=not exit_)
            if not exit_:
                _keep_serving(shown)
            raise typer.Exit(Exit.OK if shown.passed else Exit.FAILED)
    except HomeUsed as used:
        mend = "give --home a new or empty directory, or leave it out"
        raise Stop(str(used), mend=mend) from None
    except (WorldFailed, LogUnavailable) as failure:
        raise Stop(str(failure), mend="see the messages above") from None


def _present(shown: Show, *, as_json: bool, serving: bool) -> None:
    if as_json:
        show_json(shown.as_json())
        return
    show(*shown.as_renderables(serving=serving))


def _keep_serving(shown: Show) -> None:
    shown.run_on()
    tell(
        f"Serving. Decision time runs on from {shown.last_at:%d %B %Y, %H:%M} UTC. Ctrl-C stops it."
    )
    try:
        signal.pause()
    except KeyboardInterrupt:
        line()


@contextmanager
def _home_of(
    pack: Pack, home: Path | None, workers: int, listeners: Listeners
) -> Iterator[NewHome]:
    """Make the demo's home; a temporary one is removed at the end."""
    from gateway.cli.home import create_home
    from gateway.demo.listener import LOOPBACK
    from gateway.demo.world import fresh_home

    directory = home.absolute() if home else Path(tempfile.mkdtemp(prefix="concordat-demo-"))
    fresh_home(directory)
    try:
        data_port, control_port = [listener.getsockname()[1] for listener in listeners]
        yield create_home(
            directory,
            organisation=str(next(iter(pack.configuration.services.values()))["owner"]),
            public_base_url=f"http://{LOOPBACK}:{data_port}",
            data_listen=f"{LOOPBACK}:{data_port}",
            control_listen=f"{LOOPBACK}:{control_port}",
            workers=str(workers),
        )
    finally:
        if home is None:
            shutil.rmtree(directory, ignore_errors=True)


def _stop_on_sigterm(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
