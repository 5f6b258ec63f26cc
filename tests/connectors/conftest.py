"""A certificate for `localhost`, and its key, for services that speak TLS."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.certificates import Certificate, make_certificate_in

__all__ = ["Certificate"]


@pytest.fixture
def make_certificate(tmp_path: Path) -> Callable[..., Certificate]:
    """Make a certificate for a host name; `days` may be negative for one that has expired."""
    return partial(make_certificate_in, tmp_path)
