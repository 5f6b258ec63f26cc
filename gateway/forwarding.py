"""Forwarding as the settings ask for it: the receivers, and what is told of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from connectors.secrets import SecretReference
from connectors.syslog import SYSLOG_TLS_PORT
from connectors.tls import ClientCertificate, Trust
from gateway.audit.exports.forward import Forwarder, Receiver
from gateway.audit.exports.receivers import OtlpReceiver, SyslogReceiver
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.search.access import AccessLog
from gateway.audit.store import LogUnavailable
from gateway.data_plane import log_home, running
from gateway.logs import Event, event
from gateway.settings import Settings

Warn = Callable[[str, str | None], None]
"""Hears which part is in trouble, and the sentence, or None that it is well."""

_FIGURES: Final = (
    ("lag_records", "gauge", "Records under a published checkpoint that were not sent yet."),
    ("lag_seconds", "gauge", "Age of the oldest of them."),
    ("rejected_total", "counter", "Events that the receiver refused for good."),
)


def receivers_of(settings: Settings) -> Iterator[Receiver]:
    """Yield the receivers that the settings name; none where they name none."""
    shown = _reference(settings.siem_certificate)
    certificate = ClientCertificate(certificate=shown, key=shown) if shown else None
    trust = Trust(ca_file=settings.siem_ca, certificate=certificate, store=settings.secret_store())
    if settings.siem_url is not None:
        parts = urlsplit(settings.siem_url)
        port = parts.port or SYSLOG_TLS_PORT
        yield SyslogReceiver(parts.hostname or "", port, trust=trust)
    if settings.siem_otlp_url is not None:
        token = _reference(settings.siem_token)
        yield OtlpReceiver(settings.siem_otlp_url, trust=trust, token=token)


def _reference(text: str | None) -> SecretReference | None:
    return SecretReference.parse(text) if text is not None else None


@asynccontextmanager
async def forwarding(
    settings: Settings, log: AccessLog, warn: Warn
) -> AsyncIterator[Sequence[Forwarder]]:
    """Forward the log to every receiver beside the block; what keeps one from it goes to `warn`.

    Raises:
        LogUnavailable: a cursor cannot be read.
    """
    keys = LogKeys(settings.keys_directory) if settings.siem_personal else None
    async with AsyncExitStack() as stack:
        forwarders = [
            Forwarder(log_home(settings), receiver, keys=keys)
            for receiver in receivers_of(settings)
        ]
        for one in forwarders:
            report = partial(_report, one, warn, _Told())
            await stack.enter_async_context(running(one.run(log, report)))
        yield forwarders


class _Told:
    """Whether the operator has been told of a trouble that goes on."""

    trouble = False


def _report(one: Forwarder, warn: Warn, told: _Told, failure: Exception | None) -> None:
    part = f"siem {one.name}"
    if failure is not None:
        if not told.trouble:
            event(Event.SIEM_FAILED, failure=f"{part}: {failure}")
        warn(part, f"Nothing is forwarded to the SIEM by {one.name}: {failure}.")
    elif one.rejected:
        warn(part, f"The SIEM has refused {one.rejected} events by {one.name} for good.")
    else:
        warn(part, None)
    told.trouble = failure is not None


def forwarding_metrics(forwarders: Sequence[Forwarder]) -> bytes:
    """Return how far each receiver is behind, in Prometheus' text format.

    What cannot be told, as the log cannot be read, is left out.
    """
    told: dict[str, list[str]] = {name: [] for name, _, _ in _FIGURES}
    for one in forwarders:
        label = f'{{receiver="{one.name}"}}'
        told["rejected_total"].append(f"{label} {one.rejected}")
        try:
            lag = one.lag()
        except LogUnavailable:
            continue
        told["lag_records"].append(f"{label} {lag.records}")
        told["lag_seconds"].append(f"{label} {lag.seconds:.3f}")
    lines = []
    for name, kind, text in _FIGURES if forwarders else ():
        full = f"concordat_siem_{name}"
        lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
        lines += [f"{full}{sample}" for sample in told[name]]
    return "".join(f"{line}\n" for line in lines).encode()
