"""Where the papers and the facts that arrived later lie: files named by what they say, written once, in one folder.

<folder>/begun/<sha256>.json            the list of this hash is being carried out, or was
<folder>/certificates/<sha256>.json     one for each list that was carried out, named by the list
<folder>/facts/<sha256>.json            what was learned of one recording; destroyed with it
<folder>/batches/<sha256>.json          one classification: recordings and the hashes of their facts
"""

from __future__ import annotations

from pathlib import Path

from callrec._canonical import sha256_hex
from callrec._durable import make_dir, remove, write_file
from callrec.errors import Broken, Refused, Unavailable

_MODE = 0o440
_STEP = "restore it from the backup, or run `callrec audit verify` and call a person"


class Places:
    """Under one folder, made where it is needed. Blocking."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def certificate(self, list_sha256: str) -> Path:
        """Where the certificate of this list lies, once there is one."""
        return self.folder / "certificates" / f"{list_sha256}.json"

    def lock(self) -> Path:
        """Held while a list is carried out."""
        make_dir(self.folder, mode=0o750)
        return self.folder / "carrying-out.lock"

    def has_begun(self, list_sha256: str) -> bool:
        """True once the first key of this list may be gone."""
        return self._begun(list_sha256).exists()

    def begin(self, list_sha256: str, data: bytes) -> None:
        """Note, durably and before anything is destroyed, that this list is being carried out."""
        self._write(self._begun(list_sha256), data)

    def _begun(self, list_sha256: str) -> Path:
        return self.folder / "begun" / f"{list_sha256}.json"

    def keep(self, room: str, data: bytes) -> str:
        """Keep these bytes under their own hash; answers it. Harmless when repeated."""
        name = sha256_hex(data)
        path = self.folder / room / f"{name}.json"
        if not path.exists():
            self._write(path, data)
        return name

    def read(self, room: str, name: str) -> bytes:
        """What was kept under this hash. `Unavailable` where it is not there, `Broken` where it is something else."""
        data = self._read(self.folder / room / f"{name}.json")
        if sha256_hex(data) != name:
            raise Broken(f"{room}/{name}.json is not what the ledger knows by this name", next_step=_STEP)
        return data

    def drop(self, room: str, name: str) -> None:
        """Remove what was kept under this hash, durably. Harmless where it is gone."""
        if (path := self.folder / room / f"{name}.json").exists():
            remove(path)

    def write_certificate(self, list_sha256: str, data: bytes) -> None:
        """Put the certificate in its place, once: `Refused` where there is one."""
        self._write(self.certificate(list_sha256), data)

    def read_certificate(self, list_sha256: str) -> bytes | None:
        """The certificate of this list, or None."""
        path = self.certificate(list_sha256)
        return self._read(path) if path.exists() else None

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        make_dir(path.parent, mode=0o750)
        try:
            write_file(path, data, mode=_MODE, exclusive=True)
        except Refused:
            if path.read_bytes() != data:
                raise

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}", next_step=_STEP) from error
