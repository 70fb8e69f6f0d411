"""Certificates for peers that speak TLS: one authority of a test, and what it signs. Keys are readable by us alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate and its key, as files in PEM."""

    cert: Path
    key: Path

    @property
    def both(self) -> Path:
        """One file with key and certificate, as some programs want it."""
        path = self.cert.with_suffix(".both.pem")
        path.write_bytes(self.key.read_bytes() + self.cert.read_bytes())
        path.chmod(0o600)
        return path


class Authority:
    """Signs certificates for addresses of this machine."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        made = self._builder(self._name, self._key, days=(-1, 30))
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.cert = folder / "authority.pem"
        self.cert.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        hosts: tuple[str, ...] = ("127.0.0.1", "::1"),
        days: tuple[int, int] = (-1, 30),
        password: str = "",
    ) -> Identity:
        """A certificate for these addresses, valid from and to so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, days=days)
        alternatives = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host)) for host in hosts])
        cert = made.add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256())
        paths = Identity(cert=self._folder / f"{name}.pem", key=self._folder / f"{name}.key")
        paths.cert.write_bytes(cert.public_bytes(Encoding.PEM))
        locked = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        paths.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        paths.key.chmod(0o600)
        return paths

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: tuple[int, int]
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * _DAY)
            .not_valid_after(now + days[1] * _DAY)
        )
