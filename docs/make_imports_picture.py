"""Draw which room imports which: docs/images/imports.svg and layers.svg, from the imports in the code.

    python docs/make_imports_picture.py

A room is a package or a module at the root of `napari_unet`, or of `napari_unet.layers`. It stands above all rooms that
it imports. An import that longer ways imply is left out (the transitive reduction), or nothing could be seen for
arrows. The pictures are text, the same on every machine, and a test compares them with what the code imports now.
"""

from __future__ import annotations

from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import grimp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

IMAGES = Path(__file__).parent / "images"

PACKAGE, BENCHMARKS = "napari_unet", "napari_unet_benchmarks"

RINGS = {"_qt": "window", "cli": "window", "layers": "layers", BENCHMARKS: "outside"}
"""Rings of the rooms that are not of the core, and what is outside of all."""

COLOURS = {"core": "#e3edf7", "layers": "#e2f1e2", "window": "#fbeedb"}

LETTERS, LETTER = 12, 8.4
"""Letters that a box has room for, and pixels by which it is wider for each more."""

LABEL = 100
"""Room for the names of the rings, in pixels."""

BOX, GAP_X, GAP_Y = (106, 30), 24, 42
"""Size of a box, and the gaps between boxes and between rows, in pixels."""

SWEEPS = 30
"""Times that the places in a row are improved, from above and from below in turn."""

Graph = dict[str, set[str]]


def room_imports() -> Graph:
    """Return the rooms, and the other rooms that each of them imports; the package's own lazy names are left out."""

    def room(module: str) -> str:
        return BENCHMARKS if module.split(".")[0] == BENCHMARKS else module.split(".")[1]

    graph = _graph()
    return _between(graph, graph.modules - {PACKAGE}, room)


def layers_imports() -> Graph:
    """Return the rooms of `napari_unet.layers`, and the others of these that each of them imports."""
    graph, start = _graph(), f"{PACKAGE}.layers."
    return _between(graph, {one for one in graph.modules if one.startswith(start)}, lambda one: one.split(".")[2])


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, BENCHMARKS, cache_dir=None)


def _between(graph: grimp.ImportGraph, modules: set[str], room: Callable[[str], str]) -> Graph:
    """Return the rooms of some modules, and the other rooms that each of them imports."""
    found: Graph = {}
    for module in sorted(modules):
        others = {room(other) for other in graph.find_modules_directly_imported_by(module) & modules}
        found.setdefault(room(module), set()).update(others - {room(module)})
    return found


def ring(room: str) -> str:
    """Return the ring of a room."""
    return RINGS.get(room, "core")


def layers_ring(room: str) -> str:
    """Return the ring of a room of `napari_unet.layers`."""
    return "layers"


def rows(imports: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the row of each room, 0 the lowest: the longest way down from it.

    One that imports no other stands directly below the lowest of those that import it.

    Raises
    ------
    ValueError
        If rooms import each other in a circle.
    """
    found: dict[str, int] = {}
    while len(found) < len(imports):
        ready = [room for room in imports if room not in found and imports[room] <= found.keys()]
        if not ready:
            raise ValueError(f"These rooms import each other in a circle: {sorted(imports.keys() - found.keys())}.")
        found |= {room: 1 + max((found[other] for other in imports[room]), default=-1) for room in ready}
    for room in imports:
        if not imports[room]:
            found[room] = min((found[other] for other in imports if room in imports[other]), default=1) - 1
    return found


def reduced(imports: Mapping[str, set[str]]) -> Graph:
    """Return the imports that no longer way implies (Aho, Garey and Ullman 1972, the transitive reduction)."""
    reached: Graph = {}
    for room in sorted(imports, key=rows(imports).__getitem__):
        reached[room] = set(imports[room]).union(*(reached[other] for other in imports[room]))
    return {
        room: {one for one in others if not any(one in reached[other] for other in others)}
        for room, others in imports.items()
    }


def places(levels: Mapping[str, int], edges: Iterable[list[str]]) -> dict[str, float]:
    """Return where the middle of each box, and of each bend of an arrow, lies from left to right, in pixels.

    After Sugiyama, Tagawa and Toda 1981: each goes to the mean of what it is joined to in the row before, in turn from
    below and from above, and all keep their distance.

    Parameters
    ----------
    levels : mapping of str to int
        Rows of the boxes and bends.
    edges : iterable of list of str
        Each arrow, from box to box by its bends.
    """
    joined: dict[str, list[str]] = {name: [] for name in levels}
    for edge in edges:
        for upper, lower in pairwise(edge):
            joined[upper].append(lower)
            joined[lower].append(upper)
    in_row = [[name for name in levels if levels[name] == row] for row in range(max(levels.values()) + 1)]
    found = {name: float(i * (BOX[0] + GAP_X)) for names in in_row for i, name in enumerate(names)}
    for sweep in range(SWEEPS):
        below = sweep % 2 == 0
        for names in in_row if below else reversed(in_row):
            wanted = {}
            for name in names:
                near = [found[o] for o in joined[name] if sweep > SWEEPS // 2 or (levels[o] < levels[name]) == below]
                wanted[name] = sum(near) / len(near) if near else found[name]
            found |= _spread(sorted(names, key=lambda name, wanted=wanted: (wanted[name], name)), wanted)
    left = min(found[name] - _width(name) / 2 for name in found)
    return {name: x - left for name, x in found.items()}


def _width(name: str) -> float:
    """Return the width of a box; a bend, which has no name of a room, takes none."""
    return BOX[0] + LETTER * max(0, len(name) - LETTERS) if ">" not in name else 0


def _spread(names: list[str], wanted: Mapping[str, float]) -> dict[str, float]:
    """Return places that keep the order and the distance, the middle of all where it was wanted."""
    at: list[float] = []
    for before, name in zip(["", *names], names, strict=False):
        least = at[-1] + (_width(before) + _width(name)) / 2 + GAP_X if at else wanted[name]
        at.append(max(wanted[name], least))
    shift = sum(wanted[name] for name in names) / len(names) - sum(at) / len(at)
    return {name: x + shift for name, x in zip(names, at, strict=True)}


def picture(imports: Mapping[str, set[str]], ring: Callable[[str], str] = ring) -> str:
    """Return the picture as SVG; rooms of a ring, whose names are keys of `COLOURS`, lie in a field of its colour."""
    levels = rows(imports)
    edges = []
    for room, others in sorted(reduced(imports).items()):
        for other in sorted(others):
            bends = [f"{room}>{other}>{row}" for row in range(levels[room] - 1, levels[other], -1)]
            edges.append([room, *bends, other])
    bent = {bend: int(bend.rsplit(">", 1)[1]) for edge in edges for bend in edge[1:-1]}
    x = places({**{room: levels[room] for room in sorted(levels)}, **bent}, edges)
    top, margin, step = max(levels.values()), 20, BOX[1] + GAP_Y
    y = {name: margin + GAP_Y / 2 + (top - row) * step for name, row in {**levels, **bent}.items()}  # upper edges
    x = {name: value + margin + LABEL for name, value in x.items()}
    width = max(x[name] + _width(name) / 2 for name in x) + 2 * margin
    height = margin * 2 + (top + 1) * step
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="14">',
        "<title>Which room imports which</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
    ]
    for name, colour in COLOURS.items():
        own = [levels[room] for room in levels if ring(room) == name]
        if not own:
            continue
        upper, lower = margin + (top - max(own)) * step, margin + (top - min(own) + 1) * step
        parts.append(
            f'<rect x="{margin}" y="{upper:.0f}" width="{width - 2 * margin:.0f}" height="{lower - upper - 4:.0f}" '
            f'rx="8" fill="{colour}"/>'
            f'<text x="{margin + 14}" y="{upper + 28:.0f}" font-weight="bold">{name}</text>'
        )
    parts += [_arrow(edge, x, y) for edge in edges]
    for room in sorted(levels):
        box = _width(room)
        parts.append(
            f'<rect x="{x[room] - box / 2:.1f}" y="{y[room]:.0f}" width="{box:.0f}" height="{BOX[1]}" '
            f'rx="5" fill="white" stroke="#555"/>'
            f'<text x="{x[room]:.1f}" y="{y[room] + 20:.0f}" text-anchor="middle">{escape(room)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _arrow(edge: list[str], x: Mapping[str, float], y: Mapping[str, float]) -> str:
    """Return an arrow from box to box, straight down through its bends' rows."""
    at = [(x[edge[0]], y[edge[0]] + BOX[1])]
    for bend in edge[1:-1]:
        at += [(x[bend], y[bend]), (x[bend], y[bend] + BOX[1])]
    at.append((x[edge[-1]], y[edge[-1]]))
    way = f"M{at[0][0]:.1f} {at[0][1]:.0f}"
    for (x0, y0), (x1, y1) in pairwise(at):
        half = (y0 + y1) / 2
        way += f" C{x0:.1f} {half:.0f} {x1:.1f} {half:.0f} {x1:.1f} {y1:.0f}"
    return f'<path d="{way}" fill="none" stroke="#555" stroke-width="1.2" marker-end="url(#head)"/>'


def pictures() -> dict[str, str]:
    """Return the pictures, by the names of their files."""
    return {"imports.svg": picture(room_imports()), "layers.svg": picture(layers_imports(), layers_ring)}


def main() -> None:
    """Write the pictures."""
    for name, text in pictures().items():
        (IMAGES / name).write_text(text, encoding="utf-8")
        print(IMAGES / name)


if __name__ == "__main__":
    main()
