"""Where the files lie that came with callrec and are no code: sample prompts and the default retention schedule."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, PackagePath, files
from pathlib import Path
from typing import Final

from callrec.errors import ConfigError

_SHARE: Final = "share/callrec"
"""Below the installation's data folder, as pyproject.toml puts them there."""


def shipped(name: str) -> Path:
    """A shipped file, named as in the project ("config/retention.yaml"). ConfigError where this copy lacks it."""
    beside = Path(__file__).resolve().parent.parent / name
    if beside.is_file():
        return beside
    installed = [Path(str(file.locate())).resolve() for file in _recorded() if str(file).endswith(f"{_SHARE}/{name}")]
    if installed and installed[0].is_file():
        return installed[0]
    raise ConfigError(f"{name} did not come with this copy of callrec", next_step="install callrec again")


def _recorded() -> list[PackagePath]:
    try:
        return files("callrec") or []
    except PackageNotFoundError:
        return []
