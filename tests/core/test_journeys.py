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
from callrec.core.values import Leg, Purpose
from tests.core.builders import a_plan
from tests.core.test_call import CODES, EVERY_ORDER, GOOD, PROOF, alphabet, check_purposes, check_step, key

JOURNEYS = 5000
SEED = 20_261_128
STEPS = 24


def some(dice, purposes):
    return frozenset(purpose for purpose in purposes if dice.random() < 0.7)


def named(purposes) -> NoticeProof:
    """A proof of a notice that named these."""
    return replace(PROOF, granted=replace(PROOF.granted, purposes=purposes))


def happenings(dice, proof, attempt):
    """What may come next: mostly what makes a call go on, and at any time everything else."""
    going_on = [replace(event, proof=proof) if isinstance(event, e.ProofRecorded) else event for event in GOOD]
    if dice.random() < 0.6:
        return dice.choice(going_on)
    anything = (*alphabet(attempt), *EVERY_ORDER, key("*", at_ns=99), key("2", at_ns=99))
    event = dice.choice(anything)
    return replace(event, proof=proof) if isinstance(event, e.ProofRecorded) else event


def journey(dice, count):
    """One call. Its line wants some purposes and its notice names some, not always the same."""
    proof = named(some(dice, Purpose))
    call, _ = open_call(a_plan(purposes=some(dice, Purpose), codes=CODES, has_choice_window=dice.random() < 0.5))
    tags = frozenset()
    for _ in range(STEPS):
        event = happenings(dice, proof, call.attempt)
        before = call
        try:
            call, orders = advance(before, event)
        except OutOfOrder:
            continue
        check_step(before, event, call, orders)
        check_purposes(before, call, orders)
        tags = live(tags, orders) if call.recorded else frozenset()
        assert tags <= proof.granted.purposes & call.plan.purposes
        assert tags <= call.purposes
        check_choices(call, tags)
        count[type(event).__name__] += 1
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
