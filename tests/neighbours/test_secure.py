"""TLS and SRTP from a phone that knows both: its calls are heard, proven, recorded and judged like any other."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.calls.house import House
from tests.calls.office import CALLER_HZ, PATIENCE_S, STAFF_HZ, verified
from tests.peers import audio, ports, sipp
from tests.peers.baresip import Ear
from tests.peers.certificates import Authority
from tests.peers.ports import LOOPBACK
from tests.peers.sipp_steps import invite
from tests.sip.test_door_transports import TlsPeer

pytestmark = pytest.mark.calls

KINDS = ("required", "optional")


@dataclass(slots=True)
class Secured:
    """An agent that speaks TLS and SRTP, its staff, and one caller who does too."""

    house: House
    tls_port: int
    caller: Ear
    staff: Ear


class Site:
    """One agent for each kind of SRTP, and one call through each: both at the same time, and over."""

    def __init__(self, folder: Path, around: ExitStack) -> None:
        self.authority = Authority(folder / "certificates")
        self.phone = self.authority.issue("phone")
        self.of = {kind: self._secured(folder / kind, kind, around) for kind in KINDS}

    def _secured(self, folder: Path, srtp: str, around: ExitStack) -> Secured:
        say = audio.tone(STAFF_HZ, 60)
        encrypted = srtp == "required"  # else this leg is plain while the caller's is not
        staff = around.enter_context(Ear(folder / "staff", say=say, user="6000", auto_answer=True, srtp=encrypted))
        house, tls_port = House(folder / "house", staff=staff.address), ports.free_port()
        ours = self.authority.issue(f"agent-{srtp}")
        house.settings["sip"]["listen"].append(f"tls:{LOOPBACK}:{tls_port}")
        house.settings["sip"]["srtp"] = srtp
        house.settings["sip"]["tls"] = {
            "cert": str(ours.cert),
            "key": f"file:{ours.key}",
            "ca": str(self.authority.cert),
            "require_client": True,
        }
        around.enter_context(house)
        said = audio.tone(CALLER_HZ, 60)
        phone = Ear(folder / "caller", say=said, srtp=True, tls=self.phone, ca=self.authority.cert)
        return Secured(house, tls_port, around.enter_context(phone), staff)

    def call_all(self) -> None:
        for one in self.of.values():
            one.caller.dial(f"sip:5000@{LOOPBACK}:{one.tls_port};transport=tls")
        for one in self.of.values():
            one.house.wait_for("recording.started", seconds=PATIENCE_S)
            one.staff.heard_so_far(2, within_s=PATIENCE_S)
        for one in self.of.values():
            one.caller.hang_up()
            one.staff.closed(within_s=10)
            one.house.summary()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as around:
        made = Site(tmp_path_factory.mktemp("secure"), around)
        made.call_all()
        yield made
        for one in made.of.values():
            one.house.stop()
            found = verified(one.house)
            assert found.sound, [finding.sentence for finding in found.findings]


@pytest.mark.parametrize("srtp", KINDS)
def test_a_call_over_tls_with_encrypted_audio_hears_the_whole_notice_and_is_kept(site: Site, srtp: str):
    one = site.of[srtp]
    heard = audio.find(one.caller.heard, one.house.prompt_samples())
    left, right = one.house.recording()

    assert heard.share >= 0.99
    assert "SRTP is Enabled" in one.caller.process.output
    assert audio.share(left, CALLER_HZ) > 0.9
    assert audio.share(right, STAFF_HZ) > 0.9
    assert audio.share(one.staff.heard[-audio.RATE :], CALLER_HZ) > 0.9
    assert one.house.entries("call.offered")[0].body["transport"] == "tls"


@pytest.mark.parametrize("srtp", KINDS)
def test_the_evidence_of_an_encrypted_leg_is_judged_by_what_left_on_the_wire(site: Site, srtp: str):
    (proven,) = site.of[srtp].house.entries("notice.proven")

    assert proven.body["tap"] == "wire"
    assert proven.body["grade"] in ("sent", "received")


def test_a_plain_caller_is_refused_where_encryption_is_required_and_the_row_says_why(site: Site, tmp_path: Path):
    house = site.of["required"].house
    closed = len(house.entries("call.closed"))
    with sipp.calling(tmp_path / "plain", [invite(refused_with=488)], to=house.address) as caller:
        caller.succeed(within_s=10)

    body = house.summary(count=closed + 1)
    assert (body["decision"], body["connected"]) == ("NOT_RECORDED", False)
    newest = house.status()["not_served"][-1]
    assert newest["why"].endswith("Encrypted audio is required")
    assert "sip.srtp" in newest["key"]


def test_a_house_with_tls_speaks_none_of_the_old_versions_and_to_nobody_without_a_certificate(site: Site):
    new, old = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1
    address = f"{LOOPBACK}:{site.of['optional'].tls_port}"

    assert TlsPeer(site.authority, site.phone, new).options(address) == "SIP/2.0 200 OK"
    assert turned_away(TlsPeer(site.authority, None, new), address)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        assert turned_away(TlsPeer(site.authority, site.phone, old), address)


def turned_away(peer: TlsPeer, address: str) -> bool:
    try:
        return not peer.options(address)
    except (ssl.SSLError, ConnectionError):
        return True
