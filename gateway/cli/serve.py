"""`concordat serve`: runs the gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import Home, settings_of
from gateway.cli.output import Stop, tell


def serve(
    home: Home = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            metavar="N",
            help="Data-plane processes. Default: the setting `workers`, else one per core.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the gateway: a control process and its workers, until SIGTERM or Ctrl-C.

    Listens where the settings say (data_listen, control_listen). Time is the machine's: nothing
    can set it.
    """
    from gateway.audit.freeze import frozen_reason
    from gateway.audit.store import LogUnavailable
    from gateway.database import DatabaseUnsuitable
    from gateway.presence import GatewayRuns
    from gateway.processes import AddressTaken, WorkerFailed, run_gateway
    from gateway.refresh import SnapshotRefused
    from gateway.registry.store import RegistryUnavailable

    settings = settings_of(home, workers=workers)
    tell(f"Starting: data listener {settings.data_listen}, control {settings.control_listen}.")
    try:
        run_gateway(settings)
    except GatewayRuns as runs:
        mend = f"kill {' '.join(map(str, runs.pids))}, and start again once they have ended"
        raise Stop(f"the gateway did not start: {runs}", mend=mend) from None
    except AddressTaken as taken:
        port = taken.address.rpartition(":")[2]
        mend = f"end what `ss -ltnp 'sport = :{port}'` names, or set another address"
        raise Stop(f"the gateway did not start: {taken}", mend=mend) from None
    except LogUnavailable as failure:
        mend = f"concordat doctor --home {settings.home}, and start again"
        # Of a log that is gone altogether, this says more than that there is none.
        said = frozen_reason(settings.audit_directory) or failure
        raise Stop(f"the gateway cannot run: {said}", mend=mend) from None
    except (
        WorkerFailed, RegistryUnavailable, DatabaseUnsuitable, SnapshotRefused, OSError
    ) as failure:  # fmt: skip
        mend = f"concordat doctor --home {settings.home}"
        raise Stop(f"the gateway did not start: {failure}", mend=mend) from None
