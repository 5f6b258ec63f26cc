"""The commands that the demo offers to try; the show itself is tested end to end."""

from __future__ import annotations

import shlex
from dataclasses import replace

from gateway.demo.packs import Pack
from gateway.demo.show import _call_command


def test_a_call_is_offered_as_one_command(pack: Pack) -> None:
    """The command, read by a shell, holds the call's method, path with query, client and body."""
    call = replace(pack.sheet.calls[0], body={"a": "it's"})
    words = shlex.split(_call_command(call))
    path = call.path + "?" + "&".join(f"{name}={value}" for name, value in call.query)
    assert words[:4] == ["concordat", "call", call.method, path]
    assert words[4:] == ["--client", call.token.client, "--body", '{"a": "it\'s"}']
