"""Nodes against the table of keys: values, the line of each key, and every mistake, not only the first."""

from __future__ import annotations

import difflib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from callrec.config.kinds import Kind, ListOf
from callrec.config.nodes import Finding, Mapping, Node, Scalar, Sequence
from callrec.config.schema import KEYS, Key, Must, Shape
from callrec.config.values import short_name


def _children() -> dict[str, dict[str, Key]]:
    below: dict[str, dict[str, Key]] = defaultdict(dict)
    for key in KEYS:
        parent, _, name = key.path.rpartition(".")
        below[parent][name] = key
    return dict(below)


CHILDREN: Final = _children()
"""Rows by the path of the section above them; the root is the empty path."""


@dataclass(slots=True)
class Reading:
    """What was read. `plain` holds every value by dotted key, defaults included: it is what is hashed."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def wrong(self, key: str, what: str, line: int | None = None) -> None:
        """Note a mistake; without a line, that of the key or of the nearest section around it that was written."""
        self.findings.append(Finding(line=self.line_of(key) if line is None else line, key=key, what=what))

    def line_of(self, key: str) -> int:
        """Line of this key or of the nearest one around it; 0 where none was written."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return self.lines.get(key, 0)


def read(root: Node) -> Reading:
    """Read a whole file. With findings, `values` is incomplete and must not be used."""
    reading = Reading()
    if isinstance(root, Mapping):
        reading.values = _section(reading, "", "", root)
    else:
        reading.wrong("", f"the file must hold keys and values, beginning with {', '.join(CHILDREN[''])}", root.line)
    return reading


def _at(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _section(reading: Reading, pattern: str, at: str, node: Mapping) -> dict[str, Any]:
    rows = CHILDREN[pattern]
    _repeated(reading, at, node)
    for name in node.items.keys() - rows.keys():
        reading.wrong(_at(at, name), _unknown(name, rows), node.items[name][0])
    return {name: _value(reading, row, _at(at, name), node.items.get(name)) for name, row in rows.items()}


def _repeated(reading: Reading, at: str, node: Mapping) -> None:
    for name, line, first in node.repeated:
        reading.wrong(_at(at, name), f"stands twice, first on line {first}; keep one", line)


def _unknown(name: str, rows: dict[str, Key]) -> str:
    near = difflib.get_close_matches(name, rows, n=1, cutoff=0.5)
    meant = f"; did you mean {near[0]}?" if near else ";"
    return f"unknown key{meant} known keys here are {', '.join(rows)}"


def _value(reading: Reading, row: Key, at: str, found: tuple[int, Node] | None) -> Any:
    if found is not None:
        reading.lines[at], node = found
        if not (isinstance(node, Scalar) and node.is_null):
            return _written(reading, row, at, node)
        if row.may_be_null:
            reading.plain[at] = None
            return None
        if not isinstance(row.kind, Shape) and row.default is not None:
            reading.wrong(at, "has no value; write one or remove the key")
            return None
    return _absent(reading, row, at)


def _absent(reading: Reading, row: Key, at: str) -> Any:
    if row.default is None:
        reading.plain[at] = None
        return None
    if row.kind is Shape.SECTION:
        return _section(reading, row.path, at, Mapping({}, (), reading.line_of(at)))
    if row.kind is Shape.NAMES:
        return {} if row.default == () else _unwritten(reading, row, at)
    if row.kind is Shape.ITEMS:
        return ()
    if row.default is Must.BE_WRITTEN:
        return _unwritten(reading, row, at)
    return _written(reading, row, at, _as_node(row.default, reading.line_of(at)))


def _unwritten(reading: Reading, row: Key, at: str) -> Any:
    reading.wrong(at, f"must be written: {row.doc}")
    return None


def _as_node(default: Any, line: int) -> Node:
    if isinstance(default, tuple):
        return Sequence(tuple(_as_node(item, line) for item in default), line)
    if isinstance(default, bool):
        return Scalar(str(default).lower(), "bool", line)
    return Scalar(str(default), type(default).__name__, line)


def _written(reading: Reading, row: Key, at: str, node: Node) -> Any:
    if isinstance(row.kind, Shape):
        return _SHAPES[row.kind](reading, row, at, node)
    if isinstance(row.kind, ListOf):
        return _list(reading, row.kind, at, node)
    return _plain(reading, row.kind, at, node)


def _plain(reading: Reading, kind: Kind, at: str, node: Node) -> Any:
    if not isinstance(node, Scalar):
        reading.wrong(at, "must be one value, not a list or a section", node.line)
        return None
    try:
        value = kind.read(node)
    except ValueError as error:
        reading.wrong(at, str(error), node.line)
        return None
    reading.plain[at] = value if isinstance(value, (int, float, bool)) else node.text
    return value


def _list(reading: Reading, kind: ListOf, at: str, node: Node) -> tuple[Any, ...] | None:
    if not isinstance(node, Sequence):
        reading.wrong(at, "must be a list, as in [one, two]", node.line)
        return None
    if len(node.items) < kind.least:
        reading.wrong(at, f"must name at least {kind.least}", node.line)
        return None
    items = tuple(_plain(reading, kind.each, f"{at}[{i}]", item) for i, item in enumerate(node.items))
    for i, item in enumerate(items):
        if item is not None and item in items[:i]:
            reading.wrong(f"{at}[{i}]", "stands in this list twice; keep one", node.items[i].line)
    return items


def _section_shape(reading: Reading, row: Key, at: str, node: Node) -> dict[str, Any] | None:
    if not isinstance(node, Mapping):
        reading.wrong(at, f"must be a section with {', '.join(CHILDREN[row.path])}", node.line)
        return None
    return _section(reading, row.path, at, node)


def _names_shape(reading: Reading, row: Key, at: str, node: Node) -> dict[str, Any] | None:
    if not isinstance(node, Mapping):
        reading.wrong(at, "must be a section of names, each with its own keys", node.line)
        return None
    _repeated(reading, at, node)
    item = CHILDREN[row.path]["*"]
    entries = {}
    for name, found in node.items.items():
        try:
            short_name(name)
        except ValueError as error:
            reading.wrong(at, str(error), found[0])
        entries[name] = _value(reading, item, _at(at, name), found)
    return entries


def _items_shape(reading: Reading, row: Key, at: str, node: Node) -> tuple[Any, ...] | None:
    if not isinstance(node, Sequence):
        reading.wrong(at, "must be a list", node.line)
        return None
    item = CHILDREN[row.path]["[]"]
    return tuple(_value(reading, item, f"{at}.{i}", (entry.line, entry)) for i, entry in enumerate(node.items))


_SHAPES: Final = {Shape.SECTION: _section_shape, Shape.NAMES: _names_shape, Shape.ITEMS: _items_shape}
