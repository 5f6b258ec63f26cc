"""Values that are made for every exchange: frozen to the type checker, plain at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The checker sees an ordinary frozen dataclass and refuses every assignment.
    from dataclasses import dataclass as hot_value
else:
    from dataclasses import dataclass

    def hot_value(*, frozen: bool, slots: bool, kw_only: bool):
        """Make a dataclass that is frozen by contract only; see decision 8.

        A frozen dataclass sets each member through `object.__setattr__`, which takes three times
        as long as an assignment. Nothing here is given up but the exception at run time.
        """
        assert frozen and slots, "hot values are frozen, with slots"  # noqa: PT018, S101 - one contract
        return dataclass(slots=True, kw_only=kw_only, unsafe_hash=True)


__all__ = ["hot_value"]
