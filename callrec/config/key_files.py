"""Private key files, looked at before anything starts: read by their owner alone, changed by nobody, and not among the
data. Whoever copies or backs up `agent.data_dir` must not carry away what signs the ledger or opens recordings.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from callrec.config.certificates import Mistake
from callrec.config.models import Config
from callrec.errors import ConfigError

MODE: Final = 0o400
"""What a private key's file has: readable by its owner, and nothing else."""
PRIVATE: Final = ".key"
"""Ending of the keeper's private half beside its public one, where it lies on this machine."""


def require_key_files(config: Config) -> None:
    """ConfigError with every mistake that `key_file_mistakes` finds."""
    if found := tuple(key_file_mistakes(config)):
        said = "\n".join(f"{config.name}: {key}: {what}" for key, what, _ in found)
        raise ConfigError(said, next_step="; ".join(dict.fromkeys(step for _, _, step in found)))


def require_key_places(config: Config) -> None:
    """ConfigError where a private key would lie among the data: before it is made."""
    for key, path in _private(config):
        for _, what, step in _place(config, key, path):
            raise ConfigError(f"{config.name}: {key}: {what}", next_step=step)


def key_file_mistakes(config: Config) -> Iterator[Mistake]:
    """Which private keys lie among the data, or can be read or changed as they must not be. A file that is not there is
    told by whoever needs it.
    """
    for key, path in _private(config):
        yield from mistakes_of(config, key, path)


def mistakes_of(config: Config, key: str, path: Path) -> Iterator[Mistake]:
    """As above, of one file that `key` has to do with."""
    if path.is_file():
        yield from _place(config, key, path)
        yield from _mode(key, path)


def _private(config: Config) -> Iterator[tuple[str, Path]]:
    if (signing := config.keys.signing.path) is not None:
        yield "keys.signing", signing
    if (public := config.keys.wrap_to.path) is not None:
        yield "keys.wrap_to", public.with_suffix(PRIVATE)


def _place(config: Config, key: str, path: Path) -> Iterator[Mistake]:
    data = config.agent.data_dir
    if path.resolve().is_relative_to(data.resolve()):
        step = f"move it to a folder outside {data}, and name that in {key}"
        yield key, f"the private key {path} lies under agent.data_dir, where copies of the data take it along", step


def _mode(key: str, path: Path) -> Iterator[Mistake]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield key, f"the private key {path} can be read or changed by others than its owner", f"chmod 0400 {path}"
    elif mode != MODE:
        yield key, f"the private key {path} has mode {mode:04o}, and must have 0400", f"chmod 0400 {path}"
