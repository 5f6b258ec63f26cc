"""The immutable table that tells which service a canonical path belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from policies.paths import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path template of a service; `template` is its text, as records and metrics name it."""

    template: str
    service: str


class RouteConflict(Exception):
    """Two services claim paths that one request could match: a configuration error.

    `templates` are the two texts and `services` the two connectors.
    """

    def __init__(self, first: Route, second: Route) -> None:
        """Name both sides, so that whoever configures can choose."""
        super().__init__(
            f"{first.template} of {first.service} and {second.template} of {second.service} "
            "match the same paths; give one of them another path"
        )
        self.templates = (first.template, second.template)
        self.services = (first.service, second.service)


@dataclass(slots=True)
class _Node:
    """One segment of the tree; a literal is preferred to a parameter.

    `services` are those that have a path here or below.
    """

    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    route: Route | None = None
    services: set[str] = field(default_factory=set)


class RouteTable:
    """Path templates of all services as a tree; built once, read by every request."""

    __slots__ = ("_exact", "_root", "_routes")

    def __init__(self, routes: Iterable[Route]) -> None:
        """Build the table.

        Raises:
            RouteConflict: two templates of different services match one path.
            ValueError: a template is not well formed.
        """
        self._routes = tuple(sorted(set(routes), key=lambda route: (route.template, route.service)))
        _refuse_conflicts(self._routes)
        self._root = _Node()
        exact: dict[tuple[str, ...], Route] = {}
        for route in self._routes:
            segments = tuple(route.template.split("/")[1:])
            if not any(segment.startswith("{") for segment in segments):
                exact[segments] = route
            _insert(self._root, segments, route)
        self._exact: Mapping[tuple[str, ...], Route] = exact

    def match(self, segments: tuple[str, ...]) -> Route | None:
        """Return the route of a canonical path, or None where no service serves it."""
        return self._exact.get(segments) or _find(self._root, segments, 0)

    def near(self, segments: tuple[str, ...]) -> frozenset[str]:
        """Return the services beneath the longest beginning of a path that any of them has."""
        node = self._root
        for segment in segments:
            below = node.literals.get(segment) or (node.parameter if segment else None)
            if below is None:
                break
            node = below
        return frozenset(node.services)  # the root has none: every path begins there

    def __iter__(self) -> Iterator[Route]:
        """Yield every route, in the order of their templates."""
        return iter(self._routes)

    def __reduce__(self) -> tuple[type[RouteTable], tuple[tuple[Route, ...]]]:
        """Pickle the routes alone; the tree is built again."""
        return RouteTable, (self._routes,)


def _insert(root: _Node, segments: tuple[str, ...], route: Route) -> None:
    node = root
    for segment in segments:
        if segment.startswith("{"):
            node.parameter = node.parameter or _Node()
            node = node.parameter
        else:
            node = node.literals.setdefault(segment, _Node())
        node.services.add(route.service)
    node.route = route


def _find(node: _Node, segments: tuple[str, ...], depth: int) -> Route | None:
    if depth == len(segments):
        return node.route
    literal = node.literals.get(segments[depth])
    if literal is not None:
        found = _find(literal, segments, depth + 1)
        if found is not None:
            return found
    if node.parameter is None or not segments[depth]:
        return None
    return _find(node.parameter, segments, depth + 1)


def _refuse_conflicts(routes: tuple[Route, ...]) -> None:
    templates = [(Template.parse(route.template), route) for route in routes]
    for position, (template, route) in enumerate(templates):
        for other_template, other in templates[position + 1 :]:
            if route.service != other.service and template.overlaps(other_template):
                raise RouteConflict(route, other)
