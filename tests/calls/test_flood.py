"""Too many INVITEs at once: calls in progress go on without a gap, an allowed peer is told 503, a stranger nothing; and
at the agent's end the ledger tells how much was kept out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy

import numpy as np
import pytest

from tests.calls.house import House
from tests.peers import audio, ports, sipp
from tests.peers.baresip import Ear
from tests.peers.flood import Burst, Stranger
from tests.peers.ports import LOOPBACK
from tests.peers.rtp import Media
from tests.peers.sipp_steps import PCMA, invite, sdp, until_bye

pytestmark = pytest.mark.calls

STRANGER = "127.0.0.9"
CALLS, ROOM = 200, 30
TALKING, NOWHERE = "5001", "5002"
STAFF_HZ = 800


@pytest.fixture(scope="module")
def staff_port() -> int:
    return ports.free_port()


@pytest.fixture(scope="module")
def house(tmp_path_factory, staff_port) -> Iterator[House]:
    """An agent with room for some of a burst, and two lines that are never recorded: to staff, and to nobody."""
    made = House(tmp_path_factory.mktemp("flood") / "house", staff=f"{LOOPBACK}:{staff_port}", notice=None)
    made.settings["agent"] |= {"max_calls": ROOM, "max_setups_per_s": 40, "drain_s": 0}
    rtp = ports.free_range(6 * ROOM)
    made.settings["sip"]["rtp_ports"] = f"{rtp}-{rtp + 6 * ROOM - 1}"
    never = {"record": "never", "purposes": [], "subject": "adult"}
    for dialled, destination in ((TALKING, f"sip:6000@{LOOPBACK}:{staff_port}"), (NOWHERE, f"sip:6001@{LOOPBACK}:9")):
        line = {**deepcopy(never), "match": {"dialled": [dialled]}, "destination": destination}
        made.settings["lines"][f"never-{dialled}"] = line
    with made:
        yield made
        kept_out = made.status()["kept_out"]
        made.stop()
        is_written(kept_out, [entry.body for entry in made.entries("traffic.dropped")])


def is_written(kept_out: Mapping[str, int], written: Sequence[Mapping[str, int]]) -> None:
    """Every count is in the ledger, in entries that each tell something and name nobody."""
    assert {name: sum(body[name] for body in written) for name in kept_out} == kept_out
    assert all(any(body.values()) for body in written)
    assert STRANGER not in str(written)


@pytest.fixture(scope="module")
def media(house, staff_port, tmp_path_factory) -> Iterator[Media]:
    """What the caller of a call in progress hears of staff: it must not have a gap."""
    folder, say = tmp_path_factory.mktemp("call"), audio.tone(STAFF_HZ, 60)
    with Media() as media, Ear(folder / "staff", say=say, user="6000", auto_answer=True, port=staff_port) as staff:
        steps = [invite(offer=sdp(codecs=[PCMA], port=str(media.port))), until_bye(100_000)]
        caller = sipp.calling(folder / "caller", steps, to=house.address, dialled=TALKING, limit_s=110)
        staff.established(within_s=10)
        media.speak(audio.tone(600, 10), to=caller.wait_received("SIP/2.0 200", seconds=5).media_address)
        yield media
        staff.hang_up()
        caller.succeed(within_s=10)


def hears_on(media: Media, *, packets: int = 50) -> None:
    """So many more packets come in."""
    wanted = len(media.packets) + packets
    ports.until(lambda: len(media.packets) >= wanted, seconds=10, what="the call goes on")


def is_whole(media: Media, *, since: int) -> None:
    """Every packet of one stream came, with sound that follows on, and it was staff's voice throughout."""
    heard = media.packets[since:]
    assert len({one.ssrc for one in heard}) == 1
    assert set(np.diff([one.sequence for one in heard]) % 65536) == {1}
    assert set(np.diff([one.timestamp for one in heard]) % 2**32) == {160}
    sound = audio.from_alaw(b"".join(one.payload for one in heard))
    assert audio.share(sound, STAFF_HZ) > 0.95


def test_200_invites_in_a_second_of_a_peer_are_each_answered_or_told_503(house, media):
    pid, before = house.process.pid, house.status()["kept_out"]["over_rate"]
    offered = len(house.entries("call.offered"))
    hears_on(media)
    since = len(media.packets)
    with Burst(port=house.port, dialled=NOWHERE) as burst:
        burst.call(CALLS)
        burst.all_answered(within_s=15)
        hears_on(media)
        is_whole(media, since=since)
        finals, told = dict(burst.finals), burst.retry_after

    assert set(finals) == {200, 503}
    assert finals[200] >= ROOM - 1
    assert told == finals[503] == CALLS - finals[200]
    assert house.process.alive
    assert house.process.pid == pid
    kept_out = house.status()["kept_out"]["over_rate"] - before
    rows = len(house.entries("call.offered")) - offered
    assert rows + kept_out == CALLS


def test_10000_invites_a_second_of_strangers_are_not_answered_and_cost_no_call(house, media, tmp_path):
    pid, before = house.process.pid, house.status()["kept_out"]["from_strangers"]
    hears_on(media)
    since = len(media.packets)
    stranger = Stranger(tmp_path / "stranger", source=STRANGER, port=house.port, per_second=10_000, seconds=3)
    sent, heard = stranger.done(within_s=20)
    hears_on(media)
    is_whole(media, since=since)

    assert sent >= 20_000
    assert heard == 0
    assert house.process.alive
    assert house.process.pid == pid
    counted = house.status()["kept_out"]["from_strangers"] - before
    assert sent / 2 < counted <= sent
    assert "kept out: " in house.callrec("agent", "status")
