"""Commands that are imported once they are used: each brings libraries that the others can do without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import click


class Commands(MutableMapping[str, click.Command]):
    """The commands of a group, by name. `places` says where those are that were not imported yet: "module:name"."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._there: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._there and name in self._places:
            module, _, attribute = self._places[name].partition(":")
            self._there[name] = getattr(import_module(f"callrec.cli.{module}"), attribute)
        return self._there[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._there[name] = command

    def __delitem__(self, name: str) -> None:
        self._places.pop(name, None)
        self._there.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._places, **self._there})

    def __len__(self) -> int:
        return len({**self._places, **self._there})
