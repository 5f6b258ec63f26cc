"""Agreements as the commands read and judge them."""

from __future__ import annotations

import pytest

from gateway.cli.agreements import faults_of, listed, shown, written
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.demo.packs import BUILT_IN
from tests.configured import pack_configuration
from tests.gateway.cli.configuring import configure


def test_every_agreement_of_the_pack_is_in_order() -> None:
    """What the pack ships with has no fault."""
    configuration = pack_configuration()
    for path in sorted((BUILT_IN / "agreements").iterdir()):
        assert list(faults_of(path, configuration)) == []


def test_what_was_never_here_is_not_shown(new_home: NewHome) -> None:
    """A new home has no agreements."""
    assert listed(new_home.settings) == []
    with pytest.raises(Stop) as stopped:
        shown(new_home.settings, "DSA-2026-0003")
    assert stopped.value.code == 2


def test_a_document_is_written_as_its_file(new_home: NewHome) -> None:
    """One member a line, without the end of the file."""
    assert written({"b": "no", "a": 1}) == "a: 1\nb: 'no'"
    configure(new_home.settings)
    assert len(listed(new_home.settings)) == len(pack_configuration().agreements)
