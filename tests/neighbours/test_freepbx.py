"""deploy/freepbx, taken by a real Asterisk that is laid out as FreePBX is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.neighbours.exchange import PATIENCE_S, Exchange, more
from tests.neighbours.freepbx import DID, HERE, WITHOUT_ITS_LINE, FreePbx
from tests.peers import audio, ports
from tests.peers.asterisk import CALLER_HOST
from tests.peers.audio import CALLER_HZ, STAFF_HZ
from tests.peers.baresip import Ear
from tests.peers.ports import LOOPBACK

pytestmark = [pytest.mark.asterisk, pytest.mark.calls]


@pytest.fixture
def staff(tmp_path: Path) -> Iterator[Ear]:
    with Ear(tmp_path / "staff", say=audio.tone(STAFF_HZ, 60), user="staff", auto_answer=True) as staff:
        yield staff


@pytest.fixture
def alone(tmp_path: Path, staff: Ear) -> Iterator[FreePbx]:
    """The PBX where no callrec is."""
    with FreePbx(tmp_path / "pbx", callrec=f"{LOOPBACK}:{ports.free_port()}", staff=staff.address) as pbx:
        yield pbx


def test_without_callrec_the_caller_reaches_the_queue_and_freepbx_does_not_record_either(
    alone: FreePbx, staff: Ear, tmp_path: Path
):
    with Ear(tmp_path / "caller", say=audio.tone(CALLER_HZ, 60), host=CALLER_HOST) as caller:
        caller.dial(f"sip:{DID}@{alone.address}")
        staff.established(within_s=PATIENCE_S)
        more(caller, 1.5)
        caller.hang_up()

    assert alone.wait_cdr("callrec-bypassed", seconds=30).disposition == "ANSWERED"
    assert audio.tone_spans(caller.heard, STAFF_HZ)
    assert len(alone.recorded) == 0
    _contexts_are_there_and_none_is_freepbxs(alone)


def _contexts_are_there_and_none_is_freepbxs(pbx: FreePbx) -> None:
    """Names as Asterisk has them, whose log tells of what it did not take."""
    ours = re.findall(r"^\[([\w-]+)\]", (HERE / "extensions_custom.conf").read_text(), re.MULTILINE)
    there = re.findall(r"\[ Context '([\w-]+)' created by 'pbx_config' \]", pbx.cli("dialplan show"))
    assert {"callrec-through", "from-callrec", *ours} <= set(there)
    assert all(name.startswith("callrec-") for name in ours)
    assert "Unable to register extension" not in pbx.log.read_text()


def test_a_call_goes_from_an_inbound_route_through_callrec_to_the_queue(tmp_path: Path):
    exchange = Exchange(tmp_path, {DID: {"destination": "sip:6000@pbx"}}, pbx=FreePbx)
    try:
        with exchange.phone("staff", STAFF_HZ), exchange.calling(DID) as caller:
            exchange.records(0.5)
            more(caller, 1.5)
            caller.hang_up()
        left, right = exchange.recording()
        leg = exchange.pbx.wait_cdr("callrec-leg", seconds=30)
        exchange.sound()
    finally:
        exchange.stop()

    assert audio.share(left, CALLER_HZ) > 0.9
    assert audio.share(right, STAFF_HZ) > 0.9
    assert leg.userfield.startswith(f"callrec-leg {exchange.uid} ")
    assert len(exchange.pbx.recorded) == 0


def test_the_readme_says_what_was_tried():
    readme = (HERE / "README.md").read_text()

    assert f"sed '{WITHOUT_ITS_LINE}'" in readme
    assert f"sed '{WITHOUT_ITS_LINE}'" in (HERE / "extensions_custom.conf").read_text()
    assert "callrec-in,6000,1" in readme
