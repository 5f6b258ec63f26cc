"""How many files a process opens, and whom they are for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gateway.open_files import (
    CONNECTIONS_MAX,
    OPEN_FILES_WANTED,
    OWN_FILES,
    connections_for,
)

RAISED = """
import json, resource, sys
allowed, most = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
from gateway.open_files import connections_max, raise_open_files
before = connections_max()
for _ in range(2):
    raise_open_files()
print(json.dumps([before, connections_max(), resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


@pytest.mark.parametrize(("allowed", "most"), [(256, 700), (512, 512)])
def test_a_process_may_open_what_it_may_ask_for(allowed: int, most: int) -> None:
    """What a shell allows at first is not what it forbids; asked twice, nothing more changes."""
    said = subprocess.run(
        [sys.executable, "-c", RAISED, json.dumps([allowed, most])],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    connections = [connections_for(allowed), connections_for(most)]
    assert json.loads(said.stdout) == [*connections, [most, most]]


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
