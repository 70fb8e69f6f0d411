"""A certificate that cannot be used is told before anything listens, by key and with what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callrec.config import Config, loads
from callrec.config.certificates import check_certificate
from callrec.errors import ConfigError
from tests.peers.certificates import Authority

EXAMPLE = (Path(__file__).parents[2] / "config" / "callrec.example.yaml").read_text("utf-8")


@dataclass(frozen=True)
class Place:
    """A folder with a good certificate, its key and its authority, and the configuration that names them."""

    folder: Path
    authority: Authority

    @property
    def config(self) -> Config:
        text = EXAMPLE.replace('"udp:127.0.0.1:5080"', '"tls:127.0.0.1:5061"', 1)
        tls = "{cert: ours.pem, key: file:ours.key, ca: authority.pem}"
        return loads(text.replace("  tls: null", f"  tls: {tls}", 1), "callrec.yaml", folder=self.folder)


@pytest.fixture
def place(tmp_path) -> Place:
    authority = Authority(tmp_path)
    authority.issue("ours")
    return Place(tmp_path, authority)


def test_a_good_certificate_is_taken(place):
    check_certificate(place.config, datetime.now(UTC))

    assert place.config.sip.tls.require_client


def another_key(place: Place) -> None:
    other = place.authority.issue("other")
    (place.folder / "ours.key").write_bytes(other.key.read_bytes())


SPOILED: dict[str, tuple[Callable[[Place], object], str, str]] = {
    "expired": (lambda p: p.authority.issue("ours", days=(-30, -1)), "sip.tls.cert", "expired on"),
    "not yet valid": (lambda p: p.authority.issue("ours", days=(1, 30)), "sip.tls.cert", "not valid before"),
    "missing": (lambda p: (p.folder / "ours.pem").unlink(), "sip.tls.cert", "No such file"),
    "no certificate": (lambda p: (p.folder / "ours.pem").write_text("x"), "sip.tls.cert", "holds no certificate"),
    "key missing": (lambda p: (p.folder / "ours.key").unlink(), "sip.tls.key", "No such file"),
    "no key": (lambda p: (p.folder / "ours.key").write_text("x"), "sip.tls.key", "holds no private key"),
    "another key": (another_key, "sip.tls.key", "is not the key of"),
    "key that others may read": (lambda p: (p.folder / "ours.key").chmod(0o644), "sip.tls.key", "by others"),
    "key under a password": (lambda p: p.authority.issue("ours", password="x"), "sip.tls.key", "password"),
    "authorities missing": (lambda p: p.authority.cert.unlink(), "sip.tls.ca", "No such file"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_one_that_cannot_be_used_is_told_by_key_and_with_what_to_do(place, how):
    spoil, key, says = SPOILED[how]
    spoil(place)

    with pytest.raises(ConfigError) as refused:
        check_certificate(place.config, datetime.now(UTC))

    assert f"callrec.yaml: {key}: " in str(refused.value)
    assert says in str(refused.value)
    assert refused.value.next_step
    assert refused.value.exit_code == 2


def test_the_key_itself_is_never_told(place):
    secret = (place.folder / "ours.key").read_text().splitlines()[1]
    another_key(place)

    with pytest.raises(ConfigError) as refused:
        check_certificate(place.config, datetime.now(UTC))

    assert secret not in refused.value.diagnosis()
