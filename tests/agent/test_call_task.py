"""The shell: it performs what the core orders, and whatever fails around it costs the recording, never the call."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from callrec._canonical import parse
from callrec.agent import pbx
from callrec.agent.call import CallTask
from callrec.agent.signals import sound_of
from callrec.config import NotInformed
from callrec.config.models import Staff
from callrec.core import events as e
from callrec.core.evidence import RtcpReport
from callrec.core.kinds import Kind
from callrec.core.people import parse_about
from callrec.core.proposals import PURPOSES, TOKEN, token_of
from callrec.core.reasons import Reason
from callrec.core.values import KeyMethod, Leg, Order, Signal
from callrec.core.wire_records import Counts, TakenWindow
from callrec.errors import Refused, Unavailable
from callrec.notice import wire
from callrec.rights.standing import KEY_FILE
from callrec.store.contacts import NAME, ContactOpener
from callrec.store.keys import unwrap
from tests.agent.world import INVITE, UID, a_world, heard_whole, leg_ended


@contextlib.asynccontextmanager
async def a_call(services):
    """A call that was offered; at the end of the block it is over and its summary is written."""
    call = CallTask(services, services.config.lines[0], INVITE, number=1, watch=lambda _uid, _what: None)
    task = asyncio.create_task(call.run())
    try:
        yield call
        call.happened(leg_ended())
        call.ended()
        await asyncio.wait_for(task, 20)
    finally:
        task.cancel()


async def answered(call):
    await call.services.telephony.asked("answer")
    call.happened(e.CallerAnswered(at_ns=1))
    await call.services.telephony.asked("play_notice")


async def announced(call):
    await answered(call)
    call.happened(e.NoticeEnded(at_ns=2, attempt=1, observation=heard_whole(call.services)))
    await call.services.telephony.asked("dial")


async def bridged(call):
    await announced(call)
    call.happened(e.StaffAnswered(at_ns=3))
    call.happened(e.LegsBridged(at_ns=4))


def summary(services):
    closed = services.ledger.of(Kind.CALL_CLOSED)
    assert len(closed) == 1
    return closed[0].body


def change_last_byte(path: Path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def nothing_was_captured(services):
    assert "start_capture" not in services.telephony.names()
    assert not services.ledger.of(Kind.RECORDING_STARTED)
    assert not list((services.spool.runtime_dir / "live").iterdir())
    assert not services.spool.ids_in("tmp")
    return True


async def expect_through_unrecorded(services, reason):
    """A call that begins now reaches the line at once, and nothing of it is captured, for that reason."""
    async with a_call(services) as call:
        await services.telephony.asked("answer")
        call.happened(e.CallerAnswered(at_ns=1))
        await services.telephony.asked("dial")

    assert summary(services)["reason"] == reason.value
    assert nothing_was_captured(services)


async def test_a_proven_call_is_recorded_sealed_and_summed_up(services):
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")

    assert summary(services)["decision"] == "RECORDED"
    kinds = [Kind.CALL_OFFERED, Kind.CALL_ANSWERED, Kind.NOTICE_PROVEN, Kind.RECORDING_STARTED, Kind.RECORDING_SEALED]
    seqs = [services.ledger.of(kind, UID)[0].seq for kind in kinds]
    assert seqs == sorted(seqs)
    assert services.spool.ready_ids() == (f"{UID}-0",)


async def test_a_call_whose_recording_could_not_be_sealed_goes_through_unrecorded(services):
    services.sealer.trouble = "the sealing process cannot be started: no memory; look at it"
    await expect_through_unrecorded(services, Reason.STORE_UNAVAILABLE)


async def test_a_recording_that_no_process_seals_is_left_for_the_next_start(services, monkeypatch):
    async def lost(_segment, _ending):
        raise Unavailable("the sealing process was ended by SIGSEGV, 2 times over", next_step="start again")

    monkeypatch.setattr(services.sealer, "seal", lost)
    told = []
    services.mishap = lambda _uid, what: told.append(what)
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")

    assert summary(services)["decision"] == "RECORDED"
    assert services.ledger.of(Kind.RECORDING_SEALED) == []
    assert services.spool.ids_in("tmp") == (f"{UID}-0",)
    assert [what for what in told if "the next start seals it" in what]


async def test_a_judge_that_raises_costs_the_recording_and_not_the_call(services):
    def raises(*_evidence, **_more):
        raise RuntimeError("broken judge")

    services.judge_by = raises
    async with a_call(services) as call:
        await bridged(call)

    assert summary(services)["reason"] == Reason.NOTICE_UNDECIDED.value
    assert "bridge" in services.telephony.names()
    assert nothing_was_captured(services)


async def test_a_ledger_that_hangs_before_the_call_lets_it_through_unrecorded(services):
    services.ledger.hang()
    async with a_call(services) as call:
        await services.telephony.asked("answer")
        call.happened(e.CallerAnswered(at_ns=1))
        await services.telephony.asked("dial")
        services.ledger.recover()

    assert "play_notice" not in services.telephony.names()
    assert nothing_was_captured(services)


async def test_a_ledger_that_hangs_in_the_notice_lets_the_call_through_unrecorded(services):
    async with a_call(services) as call:
        await answered(call)
        services.ledger.hang()
        call.happened(e.NoticeEnded(at_ns=2, attempt=1, observation=heard_whole(services)))
        await services.telephony.asked("dial")
        call.happened(e.StaffAnswered(at_ns=3))
        call.happened(e.LegsBridged(at_ns=4))
        services.ledger.recover()

    assert nothing_was_captured(services)


async def test_a_spool_that_fails_at_the_start_of_capture_keeps_nothing_and_says_so(services, monkeypatch):
    def full(*_words):
        raise Unavailable("the disk is full")

    failed = asyncio.Event()
    monkeypatch.setattr(services.spool, "open_segment", full)
    async with a_call(services) as call:
        call._recorder._failed = lambda reason, *, started: (
            call._recording_failed(reason, started=started),
            failed.set(),
        )
        await bridged(call)
        await asyncio.wait_for(failed.wait(), 5)

    assert summary(services)["reason"] == Reason.STORE_UNAVAILABLE.value
    assert "start_capture" not in services.telephony.names()


async def test_a_decline_in_the_notice_dials_at_once_and_records_nothing(services):
    async with a_call(services) as call:
        await answered(call)
        call.happened(e.KeyPressed(at_ns=2, leg=Leg.CALLER, digit="2", method=KeyMethod.INFO))
        await services.telephony.asked("dial")
        call.happened(e.StaffAnswered(at_ns=3))
        call.happened(e.LegsBridged(at_ns=4))

    assert services.telephony.names().index("stop_notice") < services.telephony.names().index("dial")
    assert summary(services)["reason_class"] == "caller's choice"
    assert nothing_was_captured(services)


async def test_an_event_that_cannot_happen_is_an_incident_and_the_caller_reaches_the_line(services):
    async with a_call(services) as call:
        await answered(call)
        call.happened(e.LegsBridged(at_ns=2))
        await services.telephony.asked("dial")

    assert services.ledger.of(Kind.INCIDENT)[0].body["what"] == "out of order"
    assert summary(services)["reason"] == Reason.AGENT_FAILED.value
    assert nothing_was_captured(services)


async def test_a_telephony_that_never_tells_the_end_of_a_notice_does_not_keep_the_caller(services, monkeypatch):
    monkeypatch.setattr("callrec.agent.call.OVERDUE_S", -60.0)
    async with a_call(services) as call:
        await answered(call)
        await services.telephony.asked("dial")
        call.happened(e.NoticeEnded(at_ns=2, attempt=1, observation=heard_whole(services)))

    assert [entry.body["what"] for entry in services.ledger.of(Kind.INCIDENT)] == ["notice never ended"]
    assert summary(services)["decision"] == "NOT_RECORDED"
    nothing_was_captured(services)


async def test_a_report_that_contradicts_the_proof_stops_the_recording_and_is_an_incident_once(services, monkeypatch):
    report = RtcpReport(at_ms=9, source="192.0.2.5:4001", highest_sequence=7, lost=80)
    monkeypatch.setattr(wire, "later", lambda *_: wire.Later(share=0.4, report=report, sha256="9" * 64))
    taken = TakenWindow(records=b"", counts=Counts(**dict.fromkeys(Counts.__dataclass_fields__, 0)))
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")
        call.happened(e.ReportsHeard(at_ns=9, attempt=1, taken=taken))
        call.happened(e.ReportsHeard(at_ns=10, attempt=1, taken=taken))
        await services.telephony.asked("stop_capture")

    (incident,) = services.ledger.of(Kind.INCIDENT)
    assert (incident.body["what"], incident.body["report"]["lost"]) == ("proof contradicted", 80)
    assert services.ledger.of(Kind.RECORDING_STOPPED)[0].body["reason"] == Reason.PROOF_CONTRADICTED.value
    assert summary(services)["decision"] == "RECORDED"


async def test_an_event_that_cannot_happen_in_the_talk_stops_capture_and_keeps_it(services):
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")
        call.happened(e.CallerAnswered(at_ns=9))
        await services.telephony.asked("stop_capture")

    assert services.ledger.of(Kind.RECORDING_STOPPED)[0].body["reason"] == Reason.AGENT_FAILED.value
    assert summary(services)["decision"] == "RECORDED"
    assert "hang_up" not in services.telephony.names()[: services.telephony.names().index("stop_capture")]


async def test_a_prompt_that_was_changed_on_disk_is_not_played_as_a_notice(services, tmp_path):
    change_last_byte(next((tmp_path / "prompts").glob("advice-line.en*.wav")))

    await expect_through_unrecorded(services, Reason.NOTICE_ALTERED)


async def test_a_stop_ordered_while_the_recording_starts_leaves_nothing_captured_after_it(services, monkeypatch):
    opened = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = services.spool.open_segment

    def slowly(*words):
        loop.call_soon_threadsafe(opened.set)
        return real(*words)

    monkeypatch.setattr(services.spool, "open_segment", slowly)
    async with a_call(services) as call:
        await bridged(call)
        await asyncio.wait_for(opened.wait(), 5)
        call.happened(e.StopRequested(at_ns=9, reason=Reason.OPERATOR_STOPPED, actor="uid:0"))
        await services.telephony.asked("suspend_capture")

    orders = services.telephony.names()
    assert "start_capture" not in orders or orders.index("start_capture") > orders.index("suspend_capture")
    assert len(services.ledger.of(Kind.CALL_CLOSED)) == 1


async def test_a_register_that_breaks_in_a_new_way_costs_the_recording_and_not_the_call(services):
    def breaks(_name, _language):
        raise RuntimeError("no such luck")

    services.choose_prompt = breaks
    async with a_call(services) as call:
        await services.telephony.asked("answer")
        call.happened(e.CallerAnswered(at_ns=1))
        await services.telephony.asked("dial")

    assert summary(services)["reason"] == Reason.AGENT_FAILED.value
    assert services.ledger.of(Kind.INCIDENT)
    assert nothing_was_captured(services)


async def test_an_order_that_cannot_be_carried_out_stops_capture_and_the_call_goes_on(services):
    def breaks(_why):
        raise TypeError("a defect")

    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")
        call._recorder.suspend = breaks
        call.happened(e.LegHeld(at_ns=9, leg=Leg.STAFF))
        await services.telephony.asked("stop_capture")
        before_the_end = services.telephony.names()

    assert "hang_up" not in before_the_end
    assert services.ledger.of(Kind.RECORDING_STOPPED)[0].body["reason"] == Reason.AGENT_FAILED.value
    assert summary(services)["decision"] == "RECORDED"


# ---------------------------------------------------------------- who called


def offers(services, monkeypatch):
    """What was kept beside each `call.offered`."""
    kept, take = [], services.ledger._take

    def seen(entry, *words, **more):
        if entry.kind is Kind.CALL_OFFERED:
            kept.append(entry.salts)
        return take(entry, *words, **more)

    monkeypatch.setattr(services.ledger, "_take", seen)
    return kept


async def test_who_called_is_sealed_for_the_keeper_who_alone_opens_it(services, monkeypatch, tmp_path):
    kept = offers(services, monkeypatch)
    async with a_call(services) as call:
        await answered(call)

    contact = ContactOpener(lambda wrapped: unwrap(wrapped, tmp_path / "keys/keeper.key")).opened(UID, kept[0][NAME])
    assert contact.numbers == (INVITE.from_uri,)
    assert contact.sip_call_id == INVITE.sip_call_id
    assert "07700900001" not in str(kept)


async def test_a_line_that_keeps_no_numbers_seals_none(tmp_path, runtime, monkeypatch):
    services = a_world(tmp_path, runtime, keep_number=False)
    kept = offers(services, monkeypatch)
    async with a_call(services) as call:
        await answered(call)

    assert NAME not in kept[0]


async def test_a_contact_that_cannot_be_sealed_costs_nothing_but_itself(services, monkeypatch):
    kept = offers(services, monkeypatch)
    monkeypatch.setattr(services.contacts, "seal", lambda *_words, **_more: 1 / 0)
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")

    assert NAME not in kept[0]
    assert [entry.body["what"] for entry in services.ledger.of(Kind.INCIDENT)] == ["contact not kept"]
    assert summary(services)["decision"] == "RECORDED"


async def test_a_pause_is_a_gap_in_recording_and_ledger_and_staff_hear_both_ends(services):
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")
        paused = await call.ordered(Order.PAUSE, "uid:7")
        resumed = await call.ordered(Order.RESUME, "uid:7")

    assert (paused["recording"], paused["paused"]) == ("suspended", True)
    assert (resumed["recording"], resumed["paused"]) == ("on", False)
    told = [services.ledger.of(kind, UID) for kind in (Kind.RECORDING_PAUSED, Kind.RECORDING_RESUMED)]
    assert [(one.body.get("why"), one.actor) for found in told for one in found] == [
        ("paused", "uid:7"),
        (None, "uid:7"),
    ]
    assert [gap["why"] for gap in services.ledger.of(Kind.RECORDING_SEALED, UID)[0].body["gaps"]] == ["paused"]
    beeps = [order[1:] for order in services.telephony.orders if order[0] == "announce"]
    assert beeps == [(sound_of(Signal.PAUSED), (Leg.STAFF,)), (sound_of(Signal.RESUMED), (Leg.STAFF,))]


async def test_a_stop_by_staff_suspends_every_use_and_names_who(services):
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")
        for digit in "*70":
            call.happened(e.KeyPressed(at_ns=99, leg=Leg.STAFF, digit=digit, method=KeyMethod.TELEPHONE_EVENT))

    assert summary(services)["decision"] == "RECORDED"
    stopped = services.ledger.of(Kind.RECORDING_STOPPED, UID)[0]
    assert (stopped.body["reason"], stopped.body["stopped_by"]) == ("STAFF_STOPPED", "staff")
    changed = services.ledger.of(Kind.TAG_CHANGED, UID)[0]
    assert changed.actor == stopped.actor == "staff sip:6000@127.0.0.1:6000"
    assert changed.body == {
        "change": "suspended",
        "purposes": ["audit", "medico-legal", "training"],
        "recording_id": f"{UID}-0",
        "source": "staff",
        "why": "stopped",
    }


async def test_a_recording_that_turns_out_to_be_about_a_child_is_kept_by_a_childs_dates(services):
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")
        await call.ordered(Order.CHILD, "uid:7")

    (folder,) = (services.spool.ready(name) for name in services.spool.ready_ids())
    retention = parse((folder / "manifest.json").read_bytes())["retention"]
    assert retention["facts"]["subject"] == "child"
    assert retention["rule"] == "ML-C?"
    said = services.ledger.of(Kind.TAG_CHANGED, UID)[0].body
    assert said == {
        "started_leaf": services.ledger.of(Kind.RECORDING_STARTED, UID)[0].leaf,
        "change": "subject",
        "subject": "child",
        "recording_id": f"{UID}-0",
    }


async def test_who_a_call_is_about_goes_into_its_recording_and_into_the_ledger(services):
    about = parse_about({"subject": "child", "age": 9, "competent": "no", "caller": "parent"})
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")
        await call.ordered(about, "http")

    (folder,) = (services.spool.ready(name) for name in services.spool.ready_ids())
    manifest = parse((folder / "manifest.json").read_bytes())
    said = {"subject": "child", "age": 9, "competent": "no", "caller": "parent"}
    assert manifest["details"] == {"about": said}
    assert manifest["retention"]["rule"] == "ML-C?"
    (told,) = services.ledger.of(Kind.TAG_CHANGED, UID)
    assert (told.actor, said.items() <= told.body.items()) == ("http", True)


async def test_an_order_for_a_call_that_is_over_is_refused(services):
    async with a_call(services) as call:
        await bridged(call)

    with pytest.raises(Refused, match="is over"):
        await call.ordered(Order.PAUSE, "uid:7")


async def test_a_caller_with_a_standing_refusal_starts_as_declined_and_is_connected_unasked(services):
    services.standing.refuse("07700 900001", since="2026-01-01", why="letter-1", by="ann")
    async with a_call(services) as call:
        await services.telephony.asked("answer")
        call.happened(e.CallerAnswered(at_ns=1))
        await services.telephony.asked("dial")

    assert "play_notice" not in services.telephony.names()
    (choice,) = services.ledger.of(Kind.CHOICE_MADE, UID)
    assert (choice.body["choice"], choice.body["method"]) == ("decline", "standing refusal")
    assert summary(services)["reason"] == "CALLER_DECLINED"


async def test_where_refusals_cannot_be_asked_nothing_is_recorded_and_the_call_goes_through(services, tmp_path):
    services.standing.refuse("01632 960001", since="2026-01-01", why="letter-1", by="ann")
    (tmp_path / "keys" / KEY_FILE).unlink()
    async with a_call(services) as call:
        await services.telephony.asked("answer")
        call.happened(e.CallerAnswered(at_ns=1))
        await services.telephony.asked("dial")

    assert summary(services)["reason"] == "STORE_UNAVAILABLE"


def asking(services, how):
    """These services, with staff who must have acknowledged policy 3."""
    services.config = replace(services.config, staff=Staff(policy_version="3", not_informed=how))
    return services


@pytest.mark.parametrize(("how", "recorded"), [(NotInformed.WARN, True), (NotInformed.REFUSE, False)])
async def test_staff_who_did_not_acknowledge_the_policy_are_told_of_or_cost_the_recording(services, how, recorded):
    async with a_call(asking(services, how)) as call:
        await bridged(call)
        if recorded:
            await services.telephony.asked("start_capture")

    told = [each.body["cause"] for each in services.ledger.of(Kind.LEG_CHANGED, UID) if "policy" in each.body["what"]]
    assert told == ["destination 0"]
    assert summary(services)["decision"] == ("RECORDED" if recorded else "NOT_RECORDED")
    assert summary(services)["reason"] == ("" if recorded else "STAFF_NOT_INFORMED")


async def test_staff_who_acknowledged_this_version_are_recorded(services):
    services.standing.acknowledged("sip:6000@127.0.0.1:6000", "3", on="2026-01-01")
    async with a_call(asking(services, NotInformed.REFUSE)) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")

    assert summary(services)["decision"] == "RECORDED"


async def test_the_pbxs_word_of_who_joined_counts_before_the_destination(services):
    services.standing.acknowledged("sip:alice@pbx", "3", on="2026-01-01")
    async with a_call(asking(services, NotInformed.REFUSE)) as call:
        await bridged(call)
        await call.told(pbx.read({"event": "joined", "identity": "sip:alice@pbx"}), None, "http")
        await services.telephony.asked("start_capture")
        await call.ordered(Order.STOP, "staff")

    assert summary(services)["decision"] == "RECORDED"
    assert services.ledger.of(Kind.RECORDING_STOPPED, UID)[0].actor == "staff sip:alice@pbx"


async def test_whoever_of_staff_stops_what_has_not_begun_is_named_in_the_ledger(services):
    async with a_call(services) as call:
        await call.ordered(Order.STOP, "staff")
        await bridged(call)

    (stopped,) = services.ledger.of(Kind.CHOICE_MADE, UID)
    assert (stopped.actor, stopped.body["choice"]) == ("staff sip:6000@127.0.0.1:6000", "stop before recording")
    assert summary(services)["reason"] == "STAFF_STOPPED"


async def test_a_status_code_is_answered_to_staff_alone_in_the_lines_language(services):
    services.staff_words = {Signal.RECORDED: {"en": b"recorded"}, Signal.NOT_RECORDED: {"en": b"not"}}
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")
        for order in (Order.STATUS, Order.PAUSE, Order.STATUS):
            await call.ordered(order, "staff")

    heard = [order[1:] for order in services.telephony.orders if order[0] == "announce"]
    assert heard == [(b"recorded", (Leg.STAFF,)), (sound_of(Signal.PAUSED), (Leg.STAFF,)), (b"not", (Leg.STAFF,))]


async def test_codes_are_kept_from_the_caller_and_the_callers_keys_from_staff(services):
    async with a_call(services) as call:
        await bridged(call)

    kept = [order[1:] for order in services.telephony.orders if order[0] == "swallow_keys"]
    assert (Leg.STAFF, "*70 *71 *74 *72 *73 *75 *76 *78 *7* *77 *79") in kept
    assert (Leg.CALLER, "2 3 **2 999") in kept


async def test_tones_are_keys_until_the_choice_is_over_and_not_in_the_talk(services):
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")

    names = services.telephony.names()
    assert names.count("stop_listening") == 1
    assert names.index("play_notice") < names.index("stop_listening") < names.index("start_capture")


async def test_a_pbx_may_leave_purposes_out_and_whoever_asks_for_more_is_denied_in_the_ledger(services, monkeypatch):
    services.purpose_secret = b"s" * 24
    value = "medico-legal, research"
    shown = {PURPOSES: value, TOKEN: token_of(b"s" * 24, INVITE.sip_call_id, value)}
    monkeypatch.setattr("tests.agent.test_call_task.INVITE", replace(INVITE, headers=shown))
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")

    assert services.ledger.of(Kind.RECORDING_STARTED, UID)[0].body["purposes"] == ["medico-legal"]
    (denied,) = services.ledger.of(Kind.ACCESS_DENIED, UID)
    assert (denied.body["purpose"], denied.body["person"], denied.body["action"]) == ("research", "pbx", "propose")


async def test_a_header_without_a_token_changes_nothing(services, monkeypatch):
    monkeypatch.setattr("tests.agent.test_call_task.INVITE", replace(INVITE, headers={PURPOSES: "medico-legal"}))
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("start_capture")

    started = services.ledger.of(Kind.RECORDING_STARTED, UID)[0]
    assert started.body["purposes"] == ["audit", "medico-legal", "training"]
    assert services.ledger.of(Kind.ACCESS_DENIED, UID)[0].body["why"] == "no secret is shared with the PBX"
