"""Who is alive is told by a lock."""

from __future__ import annotations

from pathlib import Path

from gateway.audit.disk.instances import Instance, instances_of, is_alive


def test_an_instance_is_alive_while_it_holds_its_lock(tmp_path: Path) -> None:
    """The kernel's lock says who lives; one that gave up, or an unknown name, is dead (I8)."""
    instance = Instance(tmp_path, label="worker-1")
    assert is_alive(tmp_path, instance.name)
    instance.close()
    assert not is_alive(tmp_path, instance.name)
    assert not is_alive(tmp_path, "nobody")


def test_a_name_is_never_used_again(tmp_path: Path) -> None:
    """A worker that comes back under its label does not revive what it left open (I8)."""
    first, second = (Instance(tmp_path, label="worker-1") for _ in range(2))
    first.close()
    assert not is_alive(tmp_path, first.name)
    assert is_alive(tmp_path, second.name)
    assert {path.name for path in instances_of(tmp_path)} == {first.name, second.name}
    second.close()
