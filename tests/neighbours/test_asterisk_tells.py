"""A real Asterisk tells callrec what that cannot see, as deploy/asterisk writes it: who joined, and who is outside."""

from __future__ import annotations

import pytest

from tests.neighbours.exchange import PATIENCE_S, Exchange, Lines, more
from tests.peers import audio, ports
from tests.peers.asterisk import MUSIC_HZ
from tests.peers.audio import CALLER_HZ, STAFF_HZ
from tests.peers.ports import LOOPBACK

pytestmark = [pytest.mark.asterisk, pytest.mark.calls]

COLLEAGUE_HZ = 700
BEFORE_HZ = 900
ANSWERS_FIRST, QUEUE_ANSWERS_FIRST, PHONE = "5017", "5019", "5011"
LINES: Lines = {
    ANSWERS_FIRST: {"capture_from": "staff_joined"},
    QUEUE_ANSWERS_FIRST: {"capture_from": "staff_joined"},
    PHONE: {},
}
TOKEN = "a-token-of-the-tests-0123456789"


class Telling(Exchange):
    """The exchange, with the door open and the PBX knowing where it is."""

    def _configure(self, lines: Lines) -> None:
        door = f"{LOOPBACK}:{ports.free_port()}"
        token = self.folder / "http.token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        self.house.settings |= {"http": {"listen": door, "token": f"file:{token}"}, "pbx_events": "http"}
        super()._configure(lines)
        self.pbx.cli(f"dialplan set global CALLREC_URL http://{door}")
        self.pbx.cli(f"dialplan set global CALLREC_TOKEN {TOKEN}")


EXCHANGE = Telling


def told(exchange: Exchange) -> list[tuple[str, str]]:
    """What the PBX told of this test's call, by whom it was told."""
    entries = exchange.house.entries("leg.changed")
    return [(one.body["what"], one.actor) for one in entries if one.call_uid == exchange.uid and one.actor != "agent"]


@pytest.mark.parametrize(("number", "before_hz"), [(ANSWERS_FIRST, BEFORE_HZ), (QUEUE_ANSWERS_FIRST, MUSIC_HZ)])
def test_a_line_that_answers_before_a_person_does_is_recorded_from_the_person_on(
    exchange: Exchange, number: str, before_hz: int
):
    with exchange.phone("staff", STAFF_HZ) as staff, exchange.calling(number) as caller:
        staff.established(within_s=PATIENCE_S)
        exchange.records(0.5)
        more(caller, 1)
        caller.hang_up()

    left, right = exchange.recording()
    assert told(exchange) == [("joined", "http")]
    assert not audio.tone_spans(right, before_hz)
    assert audio.share(right, STAFF_HZ) > 0.9
    assert audio.share(left, CALLER_HZ) > 0.9


def test_a_caller_who_is_sent_outside_is_recorded_until_then_and_again_after_a_new_notice(exchange: Exchange):
    colleague, staff = exchange.phone("colleague", COLLEAGUE_HZ), exchange.phone("staff", STAFF_HZ)
    with colleague, staff, exchange.calling(PHONE) as caller:
        exchange.records(0.5)
        more(caller, 1)
        staff.transfer(f"sip:6018@{exchange.pbx.address}")
        colleague.established(within_s=PATIENCE_S)
        more(caller, 2)
        colleague.hang_up()
        ports.until(
            lambda: len(exchange.told("recording.started")) == 2, seconds=PATIENCE_S, what="a second recording begins"
        )
        more(caller, 1)
        caller.hang_up()

    _, right = exchange.recording()
    assert told(exchange) == [("outside_party", "http"), ("left", "http")]
    assert [(one["segment"], one["decision"], one["reason"]) for one in exchange.closed()["segments"]] == [
        (0, "RECORDED", ""),
        (1, "NOT_RECORDED", "PARTY_WITHOUT_NOTICE"),
        (2, "RECORDED", ""),
    ]
    assert len(exchange.told("notice.proven")) == 2
    assert audio.tone_spans(right, STAFF_HZ)
    assert not audio.tone_spans(right, COLLEAGUE_HZ)
    assert audio.tone_spans(caller.heard, COLLEAGUE_HZ)
