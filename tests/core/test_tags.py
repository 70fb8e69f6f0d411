"""Tags as later entries leave them: whatever is written, they only ever become fewer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.kinds import Kind
from callrec.core.tags import REMOVED, RESTORED, SUSPENDED, Tags, replayed
from callrec.core.values import Purpose

ALL = frozenset(Purpose)
TRAINING, AUDIT, MEDICO_LEGAL = Purpose.TRAINING, Purpose.AUDIT, Purpose.MEDICO_LEGAL


def changed(change, *purposes):
    return Kind.TAG_CHANGED.value, {"change": change, "purposes": [each.value for each in purposes]}


WITHDRAWN = (Kind.WITHDRAWN.value, {})


@pytest.mark.parametrize(
    ("later", "usable"),
    [
        ([], ALL),
        ([changed(REMOVED, TRAINING)], {MEDICO_LEGAL, AUDIT}),
        ([changed(REMOVED, TRAINING), changed(RESTORED, TRAINING)], {MEDICO_LEGAL, AUDIT}),
        ([changed(SUSPENDED, TRAINING, AUDIT)], {MEDICO_LEGAL}),
        ([changed(SUSPENDED, TRAINING, AUDIT), changed(RESTORED, AUDIT)], {MEDICO_LEGAL, AUDIT}),
        ([WITHDRAWN], set()),
        ([WITHDRAWN, changed(RESTORED, AUDIT)], set()),
        ([WITHDRAWN, changed(RESTORED, *ALL)], {MEDICO_LEGAL}),
        ([changed("retention")], ALL),
        ([changed("whatever", TRAINING)], ALL),
        ([("recording.kept", {"change": REMOVED, "purposes": ["training"]})], ALL),
    ],
)
def test_what_later_entries_leave(later, usable):
    assert replayed(ALL, later).usable == usable


def test_each_denial_says_why():
    tags = replayed({MEDICO_LEGAL, AUDIT}, [changed(REMOVED, AUDIT), changed(SUSPENDED, MEDICO_LEGAL)])

    assert tags.why_not(TRAINING) == "not recorded for training"
    assert tags.why_not(AUDIT) == "no longer tagged audit"
    assert "suspended until somebody has looked at it" in tags.why_not(MEDICO_LEGAL)
    assert "quarantined" in tags.after(*WITHDRAWN).why_not(MEDICO_LEGAL)
    assert replayed(ALL, []).why_not(TRAINING) == ""
    assert tags.in_words() == "not audit, medico-legal suspended"


names = st.lists(st.sampled_from([*(each.value for each in Purpose), "research", "", None, 7]), max_size=4)
bodies = st.fixed_dictionaries(
    {}, optional={"change": st.sampled_from([REMOVED, SUSPENDED, RESTORED, "added", None]), "purposes": names}
)
entries = st.lists(st.tuples(st.sampled_from([Kind.TAG_CHANGED.value, Kind.WITHDRAWN.value]), bodies))


@given(st.frozensets(st.sampled_from(list(Purpose))), entries)
def test_no_entry_ever_gives_back_a_purpose_or_secondary_use_of_what_was_withdrawn(started_for, later):
    tags = Tags(recorded=started_for, live=started_for)
    for kind, body in later:
        before, tags = tags, tags.after(kind, body)
        assert tags.live <= before.live <= started_for
        assert tags.usable <= tags.live
        assert not (before.withdrawn and tags.usable) or tags.usable == {MEDICO_LEGAL}
