"""How many files a process opens, and whom they are for."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from gateway.open_files import (
    CONNECTIONS_MAX,
    OPEN_FILES_WANTED,
    OWN_FILES,
    connections_for,
    raise_open_files,
)

RAISED = """
import json, resource, sys
allowed, most = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
from gateway.open_files import raise_open_files
print(json.dumps([raise_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


@pytest.mark.parametrize(("allowed", "most", "raised"), [(256, 700, 700), (512, 512, 512)])
def test_a_process_may_open_what_it_may_ask_for(allowed: int, most: int, raised: int) -> None:
    """What a shell allows at first is not what it forbids; nothing is asked beyond that."""
    said = subprocess.run(
        [sys.executable, "-c", RAISED, json.dumps([allowed, most])],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(said.stdout) == [raised, [raised, most]]


def test_asking_twice_changes_nothing() -> None:
    """Control process and workers each ask."""
    first = raise_open_files()
    assert first <= max(OPEN_FILES_WANTED, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    assert raise_open_files() == first


@pytest.mark.parametrize(
    ("open_files", "connections"),
    [(1_024, 416), (OPEN_FILES_WANTED, CONNECTIONS_MAX), (OWN_FILES, 1), (20, 1)],
)
def test_callers_get_no_file_that_a_call_or_the_log_needs(
    open_files: int, connections: int
) -> None:
    """Every caller may want a service, and the log's own come first."""
    assert connections_for(open_files) == connections
    assert connections == 1 or 2 * connections + OWN_FILES <= open_files
