"""A consent that staff read out and vouch for: what ledger and recording hold of it, and what if they cannot."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from callrec.core import events as e
from callrec.core.kinds import Kind
from callrec.core.values import Order, Purpose
from callrec.errors import Unavailable
from callrec.notice.manifest import PromptKind
from tests.agent.test_call_task import a_call, summary
from tests.agent.test_parties import asked_again, ordered, talking
from tests.agent.world import UID


@pytest.fixture
def services(services):
    """A line whose callers may be asked for training."""
    line = replace(services.config.lines[0], consent="training-consent")
    services.config = replace(services.config, lines=(line, *services.config.lines[1:]))
    notice = services.choose_prompt("advice-line", "en")
    named = {purpose: phrase for purpose, phrase in notice.record.purposes.items() if purpose is not Purpose.TRAINING}
    asks = {"kind": PromptKind.CONSENT, "purposes": named, "asks": {Purpose.TRAINING: "train"}}
    record = replace(notice.record, id="training-consent", keys={"1": "agree", "2": "refuse"}, **asks)
    services.choose_script = lambda _name, _language: replace(notice, record=record)
    return services


async def agreed_aloud(call):
    """Staff read the question out, the caller said yes, and the notice played once more, whole."""
    await talking(call)
    at_ns = call.services.clock.boottime_ns()
    call.happened(e.OrderGiven(at_ns=at_ns, order=Order.AGREED, actor="staff"))
    await asked_again(call)
    await ordered(call.services, "start_capture", 2)


def manifest_of(services, segment):
    return json.loads((services.spool.ready(f"{UID}-{segment}") / "manifest.json").read_text())


async def test_a_yes_that_staff_vouch_for_lies_in_ledger_and_recording_with_where_it_can_be_heard(services):
    async with a_call(services) as call:
        await agreed_aloud(call)

    (given,) = services.ledger.of(Kind.CONSENT_GIVEN, UID)
    body = given.body
    assert given.segment == 1
    assert (body["consent"], body["evidence"], body["prompt_id"]) == ("oral", "AGENT_READ", "training-consent")
    assert body["heard_in"] == f"{UID}-0"
    assert body["offset_ms"] >= 0
    assert body["taker"].startswith("staff")
    first, second = services.ledger.of(Kind.RECORDING_STARTED, UID)
    assert "consent_leaves" not in first.body
    assert second.body["consent_leaves"] == [given.leaf]
    assert manifest_of(services, 1)["details"]["consent"] == {**body, "leaf": given.leaf}
    assert "consent" not in manifest_of(services, 0)["details"]
    assert [one["decision"] for one in summary(services)["segments"]] == ["RECORDED", "RECORDED"]


async def test_a_ledger_that_does_not_take_the_consent_costs_what_it_would_have_added_and_nothing_else(services):
    append = services.ledger.append

    async def without_consents(entry, *, timeout_s):
        if entry.kind is Kind.CONSENT_GIVEN:
            raise Unavailable("away", next_step="")
        return await append(entry, timeout_s=timeout_s)

    services.ledger.append = without_consents
    async with a_call(services) as call:
        await agreed_aloud(call)

    second = services.ledger.of(Kind.RECORDING_STARTED, UID)[1]
    assert "consent_leaves" not in second.body
    assert services.ledger.of(Kind.CONSENT_GIVEN, UID) == []
    assert "consent" not in manifest_of(services, 1)["details"]
