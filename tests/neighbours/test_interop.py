"""Ways of calling that other systems have and callrec must live with: for each, what it decided and what it kept.

All scripted calls run at once, each on a line of its own, and are looked at afterwards: the tests' order does
not matter. A script goes on when so much of its call was captured, and not at a time: a notice that a busy machine
disturbed is played again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.calls.office import CALLER_HZ, PATIENCE_S, STAFF_HZ, verified
from tests.neighbours.lines import Line, Lines
from tests.peers import audio, ports
from tests.peers.audio import RATE, Samples
from tests.peers.ports import LOOPBACK
from tests.peers.rawsip import RawSip, header
from tests.peers.rtp import Media
from tests.peers.sipp import Sipp
from tests.peers.sipp_steps import (
    G729,
    PCMA,
    PCMU,
    answer,
    answer_later,
    bye,
    invite,
    redirect,
    refer,
    reinvite,
    reinvite_refused,
    reinvite_without_offer,
    ring_reliably,
    sdp,
    stream,
    take,
    take_refresh,
    talk,
    until_bye,
    until_told,
    update,
)

pytestmark = pytest.mark.calls

TALK_S = 2.5
"""Of recorded talk, before whatever happens in it and after."""
ONE = sdp(codecs=[PCMA])
TIMER = ("Supported: timer", "Session-Expires: 90;refresher=uac")
MOVED_HZ = 700
"""What a caller says from his second address on."""


# ---------------------------------------------------------------- who takes part


@dataclass(slots=True)
class Call:
    """One scripted call. `live` is what must be done while it runs, and cannot be scripted."""

    line: Line
    staff: Sipp
    caller: Sipp | None
    media: list[Media] = field(default_factory=list)
    live: Future[None] | None = None
    third: RawSip | None = None

    def went_well(self) -> Call:
        """Every message of both sides came as it is written."""
        if self.live is not None:
            self.live.result(PATIENCE_S * 5)
        if self.caller is not None:
            self.caller.succeed(within_s=PATIENCE_S * 2)
        self.staff.succeed(within_s=10)
        return self

    def was_recorded(self) -> tuple[Samples, Samples]:
        """Proven and recorded, in one stretch; what was kept: caller and staff."""
        assert self.line.decided() == ("RECORDED", "")
        assert len(self.line.told("notice.proven")) == len(self.line.told("recording.started")) == 1
        return self.line.recording()


Way = Callable[["Calls", Line], Call]
WAYS: dict[str, Way] = {}


def way(made: Way) -> Way:
    """A way of calling, known by the name of the function that starts it."""
    WAYS[made.__name__.replace("_", "-")] = made
    return made


class Calls:
    """The agent, and every call by the name of its way."""

    def __init__(self, lines: Lines, pool: ThreadPoolExecutor) -> None:
        self.lines, self._pool = lines, pool
        self.says, self.staff_say = stream(lines.caller_file), stream(lines.staff_file)
        line = lines.by_name["never-acknowledged"]
        self.bare = Bare(line, line.raw(), lines.around.enter_context(Media()))
        self.unacknowledged = pool.submit(never_acknowledge, self.bare)
        self.all = {name: start(self, lines.by_name[name]) for name, start in WAYS.items()}

    def __getitem__(self, name: str) -> Call:
        return self.all[name]

    def talking(
        self,
        line: Line,
        *then: str,
        headers: tuple[str, ...] = (),
        staff: tuple[str, ...] = (),
        act: Callable[[Call], None] | None = None,
    ) -> Call:
        """A caller who speaks, does this in the talk, and hangs up; staff speak until then. `act` is told of the call
        instead of `converse`.
        """
        usual = (take(), answer(offer=ONE), self.staff_say, until_bye())
        desk = line.staff(*(staff or usual))
        begin = (invite(offer=ONE, headers=headers), self.says, until_told())
        return self.live(Call(line, desk, line.caller(*begin, *then, until_told(), bye())), act or converse)

    def live(self, call: Call, act: Callable[[Call], None]) -> Call:
        call.live = self._pool.submit(act, call)
        return call


def converse(call: Call) -> None:
    """Talk, have the caller do whatever it is, and talk on."""
    assert call.caller is not None
    call.line.records(TALK_S)
    call.caller.go_on()
    part(call)


def part(call: Call) -> None:
    """Talk on once the caller has done it, and hang up."""
    assert call.caller is not None
    call.caller.waits(within_s=PATIENCE_S)
    call.line.records(TALK_S)
    call.caller.go_on()


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calls]:
    folder = tmp_path_factory.mktemp("interop")
    with ExitStack() as around, ThreadPoolExecutor(len(WAYS) + 1) as pool:
        lines = Lines(folder, [*WAYS, *BY_HAND], around)
        yield Calls(lines, pool)
        lines.house.stop()
        offered, closed = lines.house.entries("call.offered"), lines.house.entries("call.closed")
        assert sorted(one.call_uid for one in offered) == sorted(one.call_uid for one in closed)
        found = verified(lines.house)
        assert found.sound, [one.sentence for one in found.findings]
        assert lines.house.entries("incident") == []


def both_sound(left: Samples, right: Samples, *, seconds: float) -> bool:
    """Both voices, from end to end, for at least so long. Half a second may be missing anywhere: so long the machine
    may have been elsewhere.
    """
    ends = (np.s_[: 3 * RATE // 2], np.s_[-3 * RATE // 2 :])
    all_the_time = audio.share(left, CALLER_HZ) > 0.85 and audio.share(right, STAFF_HZ) > 0.85
    at_the_ends = all(audio.share(left[end], CALLER_HZ) > 0.6 for end in ends)
    return all_the_time and at_the_ends and len(left) / RATE >= seconds


# ---------------------------------------------------------------- session timers (RFC 4028)


@way
def timer_by_reinvite(calls: Calls, line: Line) -> Call:
    refresh = reinvite(offer=ONE, headers=TIMER)
    return calls.talking(line, refresh, headers=TIMER)


@way
def timer_by_update(calls: Calls, line: Line) -> Call:
    return calls.talking(line, update(*TIMER), headers=TIMER)


@pytest.mark.parametrize("name", ["timer-by-reinvite", "timer-by-update"])
def test_a_session_refreshed_in_the_talk_is_one_recording(calls: Calls, name: str):
    call = calls[name].went_well()

    for ok in call.caller.received("SIP/2.0 200")[:2]:
        assert ok.header("Session-Expires").replace(" ", "") == "90;refresher=uac"
    assert both_sound(*call.was_recorded(), seconds=4)
    assert call.line.told("recording.paused") == []


@way
def timer_of_ours(calls: Calls, line: Line) -> Call:
    """A caller who leaves it to callrec to refresh the session, which is due after half of it."""
    wanted = ("Supported: timer", "Require: timer", "Session-Expires: 90;refresher=uas")
    refreshed = take_refresh(90_000, "Require: timer", "Session-Expires: 90;refresher=uac")
    desk = line.staff(take(), answer(offer=ONE), calls.staff_say, until_bye())
    caller = line.caller(invite(offer=ONE, headers=wanted), calls.says, refreshed, until_told(), bye())

    def act(call: Call) -> None:
        caller.wait_received("INVITE", seconds=PATIENCE_S * 3)
        part(call)

    return calls.live(Call(line, desk, caller), act)


def test_a_session_that_is_ours_to_refresh_is_refreshed_in_the_talk_and_is_one_recording(calls: Calls):
    call = calls["timer-of-ours"].went_well()

    assert len(call.caller.received("INVITE")) == 1
    assert both_sound(*call.was_recorded(), seconds=10)


def test_too_short_a_session_is_answered_with_the_least_that_is_taken(calls: Calls):
    line = calls.lines.by_name["min-se"]
    with RawSip(to=(LOOPBACK, line.house.port)) as raw:
        asked = raw.request("INVITE", line.dialled, body=raw.sdp(), headers=("Supported: timer", "Session-Expires: 30"))
        raw.send(asked)
        refused = raw.waits_for("SIP/2.0 422", seconds=15)

    assert int(header(refused, "Min-SE")) >= 90
    assert line.told("call.answered") == []


# ---------------------------------------------------------------- PRACK (RFC 3262) and UPDATE (RFC 3311)


@way
def prack_required_by_caller(calls: Calls, line: Line) -> Call:
    return calls.talking(line, headers=("Require: 100rel",))


def test_a_caller_who_requires_reliable_answers_is_recorded(calls: Calls):
    call = calls["prack-required-by-caller"].went_well()

    assert both_sound(*call.was_recorded(), seconds=1)


@way
def prack_required_by_staff(calls: Calls, line: Line) -> Call:
    staff = (take(), ring_reliably(), answer_later(), calls.staff_say, until_bye())
    return calls.talking(line, staff=staff)


def test_staff_who_ring_reliably_are_acknowledged_and_recorded(calls: Calls):
    call = calls["prack-required-by-staff"].went_well()

    assert call.staff.received("PRACK")[0].header("RAck").startswith("11 ")
    assert both_sound(*call.was_recorded(), seconds=1)


@way
def hold_by_update(calls: Calls, line: Line) -> Call:
    hold, resume = update(offer=sdp(codecs=[PCMA], direction="sendonly")), update(offer=ONE)
    return calls.talking(line, hold, talk(1500), resume)


def test_a_hold_by_update_pauses_the_recording_until_it_ends(calls: Calls):
    call = calls["hold-by-update"].went_well()

    left, _ = call.was_recorded()
    assert [one["what"] for one in call.line.told("leg.changed")][1:3] == ["held", "resumed"]
    assert len(call.line.told("recording.paused")) == len(call.line.told("recording.resumed")) == 1
    assert len(left) / RATE >= 4


# ---------------------------------------------------------------- other media in the talk


@way
def codec_change(calls: Calls, line: Line) -> Call:
    """A caller who goes on in PCMU, in the same stream."""
    ear = calls.lines.around.enter_context(Media())
    return moving(calls, line, [ear], sdp(codecs=[PCMU], port=str(ear.port)), payload_type=PCMU)


@way
def address_change(calls: Calls, line: Line) -> Call:
    """A caller who goes on from another address."""
    ears = [calls.lines.around.enter_context(Media()) for _ in range(2)]
    return moving(calls, line, ears, sdp(codecs=[PCMA], port=str(ears[1].port)), payload_type=PCMA)


def moving(calls: Calls, line: Line, ears: list[Media], offer: str, *, payload_type: int) -> Call:
    """A caller who speaks from the first of these, and after this offer in the talk from the last."""
    desk = line.staff(take(), answer(offer=ONE), calls.staff_say, until_bye())
    begin = (invite(offer=sdp(codecs=[PCMA], port=str(ears[0].port))), until_told())
    call = Call(line, desk, line.caller(*begin, reinvite(offer=offer), until_told(), bye()), ears)
    elsewhere = ears[0] is not ears[-1]

    def speak(call: Call) -> None:
        to = call.caller.wait_received("SIP/2.0 200", seconds=10).media_address
        ears[0].speak(audio.tone(CALLER_HZ, 10), to=to)
        line.records(TALK_S)
        if elsewhere:  # from before the move on: nothing of it may be kept, however late the agent hears of the move
            ears[-1].speak(audio.tone(MOVED_HZ, 10), to=to)
        call.caller.go_on()
        call.caller.waits(within_s=PATIENCE_S)
        if elsewhere:
            ears[0].be_quiet()
            ears[-1].heard_so_far(2, within_s=PATIENCE_S)
            call.caller.go_on()
        else:
            to = call.caller.received("SIP/2.0 200")[1].media_address
            ears[0].speak(audio.tone(MOVED_HZ, 10), to=to, payload_type=payload_type)
            part(call)

    return calls.live(call, speak)


def test_a_caller_who_changes_codec_in_the_talk_is_recorded_on(calls: Calls):
    call = calls["codec-change"].went_well()
    left, right = call.was_recorded()
    before, after = audio.tone_spans(left, CALLER_HZ), audio.tone_spans(left, MOVED_HZ)

    assert audio.share(left[: round(before[-1][1] * RATE)], CALLER_HZ) > 0.8
    assert after[0][0] - before[-1][1] < 1
    assert sum(end - start for start, end in after) > 1
    assert audio.share(right, STAFF_HZ) > 0.85
    assert audio.share(call.media[0].heard[-2 * RATE :], STAFF_HZ) > 0.7
    assert call.media[0].packets[-1].payload_type == PCMU


def test_what_comes_from_another_address_in_the_talk_is_not_recorded_under_the_first_notice(calls: Calls):
    call = calls["address-change"].went_well()
    left, right = call.line.recording()

    assert [one["decision"] for one in call.line.wait_told("call.closed")["segments"]] == ["RECORDED", "NOT_RECORDED"]
    assert audio.share(left, MOVED_HZ) == 0
    assert audio.share(left, CALLER_HZ) > 0.75
    assert audio.share(right, STAFF_HZ) > 0.75


@way
def offerless_reinvite(calls: Calls, line: Line) -> Call:
    return calls.talking(line, reinvite_without_offer(ONE))


def test_a_reinvite_without_a_description_is_offered_one_and_the_recording_goes_on(calls: Calls):
    call = calls["offerless-reinvite"].went_well()

    assert "m=audio" in call.caller.received("SIP/2.0 200")[1].body
    assert both_sound(*call.was_recorded(), seconds=4)


@way
def foreign_codec(calls: Calls, line: Line) -> Call:
    return calls.talking(line, reinvite_refused(sdp(codecs=[G729]), 488))


def test_a_codec_that_is_not_ours_is_refused_in_the_talk_and_the_recording_goes_on(calls: Calls):
    call = calls["foreign-codec"].went_well()

    assert both_sound(*call.was_recorded(), seconds=4)


# ---------------------------------------------------------------- other parties


@way
def referred_by_staff(calls: Calls, line: Line) -> Call:
    third = line.raw()
    asks = refer(f"sip:third@{LOOPBACK}:{third.port}", refused_with=603)
    staff = (take(), answer(offer=ONE), calls.staff_say, until_told(), asks, until_told(), until_bye())

    def ask(call: Call) -> None:
        line.records(TALK_S)
        call.staff.go_on()
        call.staff.waits(within_s=PATIENCE_S)
        call.staff.go_on()
        converse(call)

    call = calls.talking(line, staff=staff, act=ask)
    call.third = third
    return call


def test_staff_cannot_transfer_a_caller_and_the_recording_goes_on(calls: Calls):
    call = calls["referred-by-staff"].went_well()

    assert both_sound(*call.was_recorded(), seconds=1)
    assert call.third.heard == []


@way
def redirected(calls: Calls, line: Line) -> Call:
    third = line.raw()
    staff = line.staff(take(), redirect(f"sip:third@{LOOPBACK}:{third.port}"))
    call = Call(line, staff, line.caller(invite(offer=ONE), calls.says, until_bye()))
    call.third = third
    return call


def test_a_callee_who_redirects_is_not_followed_and_the_caller_is_told(calls: Calls):
    """Whoever it names has not been configured: the call would leave the PBX for where anybody likes."""
    call = calls["redirected"].went_well()

    assert call.third.heard == []
    assert call.line.decided() == ("NOT_RECORDED", "NOT_ANSWERED")
    assert call.line.told("recording.started") == []
    assert "Q.850;cause=" in call.caller.received("BYE")[0].header("Reason")


@way
def replaced(calls: Calls, line: Line) -> Call:
    """In the talk somebody else asks to take the caller's place (RFC 3891)."""
    raw = line.raw()

    def take_over(call: Call) -> None:
        line.records(TALK_S)
        of = call.caller.received("SIP/2.0 200")[0]
        tags = [of.header(name).partition("tag=")[2] for name in ("To", "From")]
        place = f"Replaces: {of.header('Call-ID')};to-tag={tags[0]};from-tag={tags[1]}"
        asked = raw.request("INVITE", line.dialled, body=raw.sdp(), headers=(place, "Require: replaces"))
        raw.send(asked)
        raw.waits_for("SIP/2.0 603", "INVITE", seconds=15)
        raw.send(raw.acknowledge_refusal(asked, raw.heard[-1]))
        converse(call)

    call = calls.talking(line, act=take_over)
    call.third = raw
    return call


def test_nobody_takes_a_callers_place_and_the_recording_is_the_callers_alone(calls: Calls):
    call = calls["replaced"].went_well()

    assert both_sound(*call.was_recorded(), seconds=1)
    assert call.third.all_heard("SIP/2.0 2") == []


# ---------------------------------------------------------------- messages that are lost, doubled or cross


@dataclass(slots=True)
class Bare:
    """What a call by hand, without a program behind it, came to."""

    line: Line
    raw: RawSip
    media: Media
    asked: str = ""

    def calls(self) -> str:
        """INVITE, and the first 200."""
        self.asked = self.raw.request("INVITE", self.line.dialled, body=self.raw.sdp(media_port=self.media.port))
        self.raw.send(self.asked)
        return self.raw.waits_for("SIP/2.0 200", "INVITE", seconds=15)

    def hangs_up(self, answer: str) -> None:
        self.raw.send(self.raw.in_dialog("BYE", self.asked, answer, number=2))
        self.raw.waits_for("SIP/2.0 200", "BYE", seconds=15)


@pytest.fixture
def bare(calls: Calls, request: pytest.FixtureRequest) -> Iterator[Bare]:
    line = calls.lines.by_name[request.param]
    with RawSip(to=(LOOPBACK, line.house.port)) as raw, Media() as media:
        yield Bare(line, raw, media)


def never_acknowledge(bare: Bare) -> None:
    bare.calls()
    farewell = bare.raw.waits_for("BYE", seconds=45)
    bare.raw.send(bare.raw.reply(farewell))


def test_an_answer_that_is_never_acknowledged_is_repeated_then_ended_and_nothing_was_played(calls: Calls):
    calls.unacknowledged.result(60)
    bare = calls.bare

    assert len(bare.raw.all_heard("SIP/2.0 200", "INVITE")) >= 7
    assert bare.media.packets == []
    assert bare.line.decided()[0] == "NOT_RECORDED"
    assert [bare.line.told(kind) for kind in ("notice.proven", "recording.started")] == [[], []]


@way
def late_acknowledgement(calls: Calls, line: Line) -> Call:
    """The first two answers are lost on their way."""
    staff = line.staff(take(), answer(offer=ONE), calls.staff_say, until_bye())
    call = Call(line, staff, None, [calls.lines.around.enter_context(Media())])
    bare = Bare(line, line.raw(), call.media[0])

    def act(call: Call) -> None:
        answered = bare.calls()
        bare.raw.waits_for("SIP/2.0 200", "INVITE", seconds=15, count=3)
        assert bare.media.packets == []
        bare.raw.send(bare.raw.in_dialog("ACK", bare.asked, answered))
        to = (LOOPBACK, int(answered.partition("m=audio ")[2].split(" ")[0]))
        bare.media.speak(audio.tone(CALLER_HZ, 10), to=to)
        line.records(TALK_S)
        bare.hangs_up(answered)

    return calls.live(call, act)


def test_a_late_acknowledgement_costs_nothing_but_time(calls: Calls):
    call = calls["late-acknowledgement"].went_well()
    heard, notice = call.media[0].heard, call.line.house.prompt_samples()

    assert audio.find(heard, notice).share >= 0.99
    assert both_sound(*call.was_recorded(), seconds=1)


@pytest.mark.parametrize("bare", ["doubled"], indirect=True)
def test_an_invite_that_comes_by_two_ways_is_one_call(bare: Bare):
    """RFC 3261 section 8.2.2.2."""
    bare.asked = bare.raw.request("INVITE", bare.line.dialled, body=bare.raw.sdp(media_port=bare.media.port))
    merged = bare.raw.again(bare.asked)
    bare.raw.send(bare.asked)
    bare.raw.send(merged)
    bare.raw.waits_for("SIP/2.0 482", "INVITE", seconds=15)
    answered = bare.raw.waits_for("SIP/2.0 200", "INVITE", seconds=15)
    bare.raw.send(bare.raw.in_dialog("ACK", bare.asked, answered))
    bare.hangs_up(answered)

    assert header(bare.raw.all_heard("SIP/2.0 482")[0], "Via").partition("branch=")[2] in merged
    assert bare.line.decided() == ("NOT_RECORDED", "CALLER_HUNG_UP")


@pytest.mark.parametrize("bare", ["crossing"], indirect=True)
def test_a_cancel_that_crosses_the_answer_changes_nothing_and_the_caller_hangs_up(bare: Bare):
    """RFC 3261 section 9.2: what was answered is not cancelled."""
    answered = bare.calls()
    bare.raw.send(bare.raw.cancel(bare.asked))
    told = bare.raw.waits_for("SIP/2.0", "CANCEL", seconds=15)
    bare.raw.send(bare.raw.in_dialog("ACK", bare.asked, answered))
    bare.hangs_up(answered)

    assert told.startswith(("SIP/2.0 200", "SIP/2.0 481"))
    assert bare.raw.all_heard("SIP/2.0 487") == []
    assert bare.line.decided() == ("NOT_RECORDED", "CALLER_HUNG_UP")


# ---------------------------------------------------------------- what cannot be served has its own status

JSON = "Content-Type: application/json"


@pytest.mark.parametrize("bare", ["refused"], indirect=True)
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [(("Require: time-travel",), "audio", "420"), ((JSON,), "json", "415"), ((), "video", "488")],
)
def test_an_invite_that_cannot_be_served_is_refused_by_name_and_written_down(
    bare: Bare, headers: tuple[str, ...], body: str, status: str
):
    described = "{}" if body == "json" else bare.raw.sdp(kind=body)
    before = len(bare.line.house.entries("call.closed"))
    bare.raw.send(bare.raw.request("INVITE", bare.line.dialled, body=described, headers=headers))
    bare.raw.waits_for(f"SIP/2.0 {status}", "INVITE", seconds=15)

    def written() -> bool:
        newest = [one.body["reason"] for one in bare.line.house.entries("call.closed")[before:]]
        return bool({"REQUEST_REFUSED", "NO_COMMON_CODEC"} & set(newest))

    assert ports.until(written, seconds=15, what="the row of the call that was refused")
    assert bare.line.told("call.answered") == []


@pytest.mark.parametrize("bare", ["refused"], indirect=True)
def test_a_cancel_of_nothing_is_answered_so(bare: Bare):
    bare.raw.send(bare.raw.request("CANCEL", bare.line.dialled))

    assert bare.raw.waits_for("SIP/2.0 481", "CANCEL", seconds=15)


BY_HAND = ["min-se", "never-acknowledged", "doubled", "crossing", "refused"]
"""Lines for calls that no script makes."""
