"""YAML text into nodes that remember their lines. Nothing is guessed: no anchors, no merge keys, no key twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml

LONGEST: Final = 1 << 20
"""Characters of a configuration file."""
DEEPEST: Final = 20
"""Levels of nesting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mistake: the line it stands on (0 where there is none), the dotted key, and the rest of the sentence."""

    line: int
    key: str
    what: str

    def sentence(self, name: str) -> str:
        """`callrec.yaml:23: lines.advice.purposes: ...`."""
        place = f"{name}:{self.line}" if self.line else name
        return f"{place}: {self.key}: {self.what}" if self.key else f"{place}: {self.what}"


class Mistake(Exception):
    """The text is no YAML that can be read further. Turned into ConfigError by `load`."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.finding = Finding(line=line, key="", what=what)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One plain value as written. `tag` is what YAML 1.1 takes it for."""

    text: str
    tag: str
    line: int

    @property
    def is_text(self) -> bool:
        """True where YAML reads text."""
        return self.tag == "str"

    @property
    def is_number(self) -> bool:
        """True where YAML reads a number."""
        return self.tag in ("int", "float")

    @property
    def is_null(self) -> bool:
        """True for null, ~ and nothing."""
        return self.tag == "null"

    @property
    def says(self) -> str:
        """What YAML takes it for, in words."""
        words = {"int": "a number", "float": "a number", "bool": "yes or no", "null": "nothing", "timestamp": "a date"}
        return words.get(self.tag, "something else")


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order of the file; `repeated` are those that stand twice, with both lines."""

    items: dict[str, tuple[int, Node]]
    repeated: tuple[tuple[str, int, int], ...]
    line: int


Node = Scalar | Sequence | Mapping


def compose(text: str) -> Node:
    """The root node. `Mistake` where the text is too long, too deep, no YAML, or leaves something to guess."""
    if len(text) > LONGEST:
        raise Mistake(0, f"the file has more than {LONGEST} characters; it is no configuration")
    try:
        _refuse_references(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Mistake(_line(mark), f"this is no YAML: {error.problem or error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise Mistake(0, f"this is no YAML: {error}") from error
    if root is None:
        raise Mistake(0, "the file is empty; begin with a copy of callrec.example.yaml")
    return _node(root)


def _line(mark: Any) -> int:
    """Lines count from 1; 0 where the parser gave no mark."""
    return mark.line + 1 if mark is not None else 0


def _refuse_references(text: str) -> None:
    """Aliases say one thing in two places; refusing them also bounds the work a small file can cause."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise Mistake(line, f"alias *{event.anchor}: write the value itself; one key has one value here")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise Mistake(line, f"nested more than {DEEPEST} levels deep; no key is")


def _node(node: yaml.Node) -> Node:
    line = _line(node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, line)
    if isinstance(node, yaml.SequenceNode):
        return Sequence(tuple(_node(item) for item in node.value), line)
    return Scalar(node.value, node.tag.removeprefix("tag:yaml.org,2002:"), line)


def _mapping(node: yaml.MappingNode, line: int) -> Mapping:
    items: dict[str, tuple[int, Node]] = {}
    repeated = []
    for key, value in node.value:
        at = _line(key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            raise Mistake(at, "a key must be a plain word")
        if key.value in items:
            repeated.append((key.value, at, items[key.value][0]))
            continue
        items[key.value] = (at, _node(value))
    return Mapping(items, tuple(repeated), line)
