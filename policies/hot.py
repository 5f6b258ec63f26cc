"""Values that are made for every exchange: frozen to the type checker, plain at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The checker sees an ordinary frozen dataclass and refuses every assignment.
    from dataclasses import dataclass as hot_value
    from typing import TypeVar

    _Kind = TypeVar("_Kind", bound=type)

    def maker(kind: _Kind) -> _Kind:
        """Return what makes values of `kind`; called as the class is."""
        return kind
else:
    from dataclasses import MISSING, dataclass, fields

    def hot_value(*, frozen: bool, slots: bool, kw_only: bool):
        """Make a dataclass that is frozen by contract only; see decision 8.

        A frozen dataclass sets each member through `object.__setattr__`, which takes three times
        as long as an assignment. Nothing here is given up but the exception at run time.
        """
        assert frozen and slots, "hot values are frozen, with slots"  # noqa: PT018, S101 - one contract
        return dataclass(slots=True, kw_only=kw_only, unsafe_hash=True)

    def maker(kind):
        """Return a function that makes values of a hot `kind` as the class does, in half the time.

        CPython 3.11 packs the arguments of a class into a tuple and a dictionary before its
        `__init__` unpacks them; those of a function it passes as they are.
        """
        given, scope = [], {"_kind": kind, "_new": object.__new__, "_missing": MISSING}
        lines = ["    _made = _new(_kind)"]
        for one in fields(kind):
            name = value = one.name
            if one.default is not MISSING:
                scope[f"_default_{name}"] = one.default
                given.append(f"{name}=_default_{name}")
            elif one.default_factory is not MISSING:
                scope[f"_default_{name}"] = one.default_factory
                given.append(f"{name}=_missing")
                value = f"_default_{name}() if {name} is _missing else {name}"
            else:
                given.append(name)
            lines.append(f"    _made.{name} = {value}")
        source = "\n".join([f"def make(*, {', '.join(given)}):", *lines, "    return _made"])
        exec(source, scope)  # noqa: S102 - names of members only, as dataclasses itself does it
        return scope["make"]


__all__ = ["hot_value", "maker"]
