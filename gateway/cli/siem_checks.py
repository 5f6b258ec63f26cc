"""The doctor's checks of forwarding: each receiver can be reached, and is up with the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from gateway.audit.exports.forward import ForwardFailed, lag_of, read_progress
from gateway.audit.store import LogUnavailable
from gateway.cli.finding import Finding, failed, ok
from gateway.cli.output import amount
from gateway.data_plane import log_home
from gateway.forwarding import receivers_of
from gateway.settings import Settings
from gateway.telemetry import live_workers

if TYPE_CHECKING:
    from gateway.audit.exports.forward import Receiver

LAG_S_MAX: Final = 300.0
"""How old what waits may be while a gateway runs."""
_CHECK: Final = "siem"


def examine_siem(settings: Settings) -> Iterator[Finding]:
    """Reach every receiver that the settings name, telling it nothing."""
    for receiver in receivers_of(settings):
        try:
            yield _examine(settings, receiver)
        finally:
            receiver.close()


def _examine(settings: Settings, receiver: Receiver) -> Finding:
    try:
        receiver.probe()
    except ForwardFailed as failure:
        mend = "start the receiver, or see what begins with siem_ in concordat.yaml"
        return failed(_CHECK, f"{receiver.name}: {failure}", f"{mend}; what waits is sent then")
    home = log_home(settings)
    try:
        lag = lag_of(home, read_progress(home, receiver.name).sent)
    except LogUnavailable:
        return ok(_CHECK, f"{receiver.name} can be reached; the log cannot be read")
    waits = f"{amount(lag.records, 'record')} waiting, for up to {lag.seconds:.0f} s"
    if lag.seconds > LAG_S_MAX and live_workers(settings.run_directory):
        mend = "look at warnings of /readyz, and for siem.failed on standard error of the gateway"
        return failed(_CHECK, f"{receiver.name} is behind: {waits}", mend)
    return ok(_CHECK, f"{receiver.name} can be reached; {waits}")
