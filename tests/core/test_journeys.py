"""Five thousand calls by chance, each from the offer to the end, all with one seed: tags and choices hold in each."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call import Capture, Stage, advance, open_call
from callrec.core.outoforder import OutOfOrder
from callrec.core.permission import Permission
from callrec.core.proof import NoticeProof
from callrec.core.purposes import Protection
from callrec.core.values import Grade, Leg, Order, Purpose
from tests.core.builders import GOOD_OBSERVATION, SCRIPT, a_consent, a_plan
from tests.core.test_call import CODES, EVERY_ORDER, GOOD, PROOF, alphabet, check_purposes, check_step, key, timer

JOURNEYS = 5000
SEED = 20_261_128
STEPS = 24


def some(dice, purposes):
    return frozenset(purpose for purpose in purposes if dice.random() < 0.7)


def named(purposes) -> NoticeProof:
    """A proof of a notice that named these."""
    return replace(PROOF, granted=replace(PROOF.granted, purposes=purposes))


def next_proof(call):
    """A proof of the script that asks for consent, for the segment that would rest on it."""
    segment = call.segment if call.agreed is not None else call.segment + 1
    granted = replace(PROOF.granted, segment=segment, purposes=SCRIPT.purposes, grade=Grade.ACKNOWLEDGED)
    return NoticeProof(granted=granted, receipt=replace(PROOF.receipt, segment=segment))


def consents(dice, call, agreed):
    """What may come of asking: mostly what leads to a yes, in that order."""
    attempt, proof = call.attempt, next_proof(call)
    yes = GOOD_OBSERVATION.start_ns + 6_000_000_000
    if agreed:
        return e.ConsentRecorded(at_ns=9, consent=a_consent(agreed[-1]))
    if call.agreed is not None:
        return e.ProofRecorded(at_ns=9, proof=proof)
    if call.asking is None:
        return e.OrderGiven(at_ns=9, order=dice.choice((Order.TRAINING, Order.AGREED)), actor="staff")
    if call.asking.playing:
        return e.NoticeEnded(at_ns=9, attempt=attempt, observation=replace(GOOD_OBSERVATION, attempt=attempt))
    if call.asking.judging:
        return e.NoticeGranted(at_ns=9, attempt=attempt, verdict=proof.granted)
    return dice.choice((key("1", at_ns=yes), key("1", at_ns=yes), key("2", at_ns=yes), timer(e.Timer.CONSENT)))


def into_the_talk(proof):
    return [replace(event, proof=proof) if isinstance(event, e.ProofRecorded) else event for event in GOOD]


def happenings(dice, proof, attempt):
    """What may come next: mostly what makes a call go on, and at any time everything else."""
    going_on = into_the_talk(proof)
    if dice.random() < 0.6:
        return dice.choice(going_on)
    anything = (*alphabet(attempt), *EVERY_ORDER, key("*", at_ns=99), key("2", at_ns=99))
    event = dice.choice(anything)
    return replace(event, proof=proof) if isinstance(event, e.ProofRecorded) else event


def journey(dice, count):
    """One call. Its line wants some purposes and its notice names some, not always the same. Consents are asked for
    beside, on some lines; some calls come to the talk without a detour.
    """
    proof, script = named(some(dice, Purpose)), SCRIPT if dice.random() < 0.7 else None
    line = {"purposes": some(dice, Purpose), "script": script, "has_choice_window": dice.random() < 0.5}
    call, _ = open_call(a_plan(codes=CODES, **line))
    tags, agreed = frozenset(), []
    talk = into_the_talk(proof) if dice.random() < 0.3 else []
    for _ in range(STEPS):
        asks = (call.captures or call.agreed is not None) and dice.random() < 0.8
        event = consents(dice, call, agreed) if asks else happenings(dice, proof, call.attempt)
        event = talk.pop(0) if talk else event
        before = call
        try:
            call, orders = advance(before, event)
        except OutOfOrder:
            continue
        check_step(before, event, call, orders)
        check_purposes(before, call, orders)
        agreed += [order.agreed for order in orders if isinstance(order, c.RecordConsent)]
        tags = live(tags, orders) if call.recorded else frozenset()
        check_ceiling(before, call, event, tags)
        assert dict(call.earlier).get(0, frozenset()) <= proof.granted.purposes & call.plan.purposes
        assert tags <= call.purposes
        check_choices(call, tags)
        count[type(event).__name__] += 1
        count["consented"] += any(isinstance(order, c.StartRecording) and order.consent for order in orders)
        count[call.permission, call.capture] += 1
    return call


def live(tags, orders):
    """The tags of what is captured, as the orders of this step leave them."""
    for order in orders:
        if isinstance(order, c.StartRecording):
            tags = order.purposes
        elif isinstance(order, c.ChangeTags) and not order.suspended:
            tags -= order.purposes
    return tags


def check_ceiling(before, call, event, tags):
    """What is tagged was proposed, and named by the notice that was proven, or agreed to by a key after the question;
    and a consent comes from the ledger alone.
    """
    if tags:
        agreed = call.consent.purposes if call.consent is not None else frozenset()
        assert tags <= (call.proof.granted.purposes & call.plan.purposes) | agreed
        assert call.consent is None or call.consent.agreed.proof is call.proof
    if call.consent is not None and call.consent is not before.consent:
        assert isinstance(event, e.ConsentRecorded)


def check_choices(call, tags):
    """What was left out is in no tag, a protected call serves no secondary use, and a no is a no."""
    assert not tags & call.without
    if Protection.DISTRESS in call.protections:
        assert tags <= {Purpose.MEDICO_LEGAL}
        assert not call.captures
    if call.permission is Permission.WITHDRAWN:
        assert not call.captures
        assert tags <= {Purpose.MEDICO_LEGAL}


def test_tags_stay_within_the_ceiling_and_nothing_leads_out_of_a_withdrawal():
    dice, count = random.Random(SEED), Counter()
    for _ in range(JOURNEYS):
        call = journey(dice, count)
        if call.permission is Permission.WITHDRAWN:
            for event in (*GOOD, *EVERY_ORDER):
                try:
                    call, orders = advance(call, event)
                except OutOfOrder:
                    continue
                assert call.permission is Permission.WITHDRAWN
                assert not any(isinstance(order, c.StartRecording | c.ResumeRecording) for order in orders)
        over, _ = advance(call, e.LegEnded(at_ns=500, leg=Leg.CALLER, cause="bye"))
        assert over.stage is Stage.CLOSED

    reached = {state for state in count if isinstance(state, tuple)}
    assert {(Permission.GRANTED, Capture.ON), (Permission.GRANTED, Capture.SUSPENDED)} <= reached, "it proves nothing"
    assert {(Permission.WITHDRAWN, Capture.ENDED), (Permission.WITHDRAWN, Capture.OFF)} <= reached
    assert count["OrderGiven"] > JOURNEYS
    assert count["consented"] > JOURNEYS / 20, "hardly anybody ever agreed: it proves nothing of consents"
