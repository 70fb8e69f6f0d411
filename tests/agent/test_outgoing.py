"""What staff are told of a call before they answer it (R53): by a header, and on the display of their telephone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from uuid import uuid4

import pytest

from callrec.agent.outgoing import destination
from callrec.config import loads
from callrec.core.call import open_call
from callrec.core.reasons import Reason
from callrec.errors import ConfigError
from tests.agent.world import INVITE, MEMORY, a_world
from tests.config.test_loading import SMALLEST, changed
from tests.core.builders import a_plan


@pytest.fixture
def config(tmp_path):
    runtime = MEMORY / f"callrec-test-{uuid4().hex}"
    runtime.mkdir(mode=0o700)
    yield a_world(tmp_path, runtime).config
    shutil.rmtree(runtime)


@pytest.mark.parametrize(
    ("reason", "header", "mark"),
    [(None, "if-proven", "[REC] "), *((reason, "no", "[NO REC] ") for reason in (Reason.CALLER_DECLINED, *Reason))],
)
def test_whether_a_call_is_recorded_is_on_the_display_and_in_a_header(config, reason, header, mark):
    call = replace(open_call(a_plan())[0], reason=reason)
    made = destination(call, config.lines[0], 0, invite=INVITE, config=config)

    assert made.from_prefix == mark
    assert dict(made.headers)["X-Callrec-Recording"] == header


def test_a_pbx_that_cannot_take_a_mark_gets_none(config):
    line = config.lines[0]
    plain = replace(line, staff_display=replace(line.staff_display, if_proven="", otherwise=""))

    assert destination(open_call(a_plan())[0], plain, 0, invite=INVITE, config=config).from_prefix == ""


def with_display(words):
    return changed("notice: n", f"notice: n, staff_display: {words}", SMALLEST)


def test_the_marks_are_configured_and_can_be_off():
    assert loads(SMALLEST, "c").lines[0].staff_display.if_proven == "[REC]"
    display = loads(with_display('{if_proven: "REC:", otherwise: "off"}'), "c").lines[0].staff_display
    assert (display.if_proven, display.otherwise) == ("REC:", "")


@pytest.mark.parametrize("mark", ['\\"', "<b>", "x" * 17, "a\\nb"])
def test_a_mark_cannot_break_out_of_a_display_name(mark):
    with pytest.raises(ConfigError, match=r"is no mark|must be"):
        loads(with_display(f'{{if_proven: "{mark}"}}'), "c")
