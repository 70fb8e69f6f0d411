"""Lines that call outside: which calls they take, whom they call, and what is refused when it is configured."""

from __future__ import annotations

import pytest

from callrec.config import loads
from callrec.core.values import NoticeWhen
from callrec.errors import ConfigError
from tests.config.test_loading import SMALLEST

OUT = """\
  out:
    direction: outbound
    match: {prefix: "81", from: [127.0.0.1]}
    destination: "sip:9{number}@192.0.2.1"
    notice: advice-line
    purposes: [medico-legal]
"""
TEXT = SMALLEST.replace("lines:\n", f"lines:\n{OUT}")
PBX = "127.0.0.1:5060"


def changed(old, new):
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def test_a_call_outside_is_for_the_number_behind_the_prefix_and_only_from_the_pbx():
    config = loads(TEXT, "c")
    line = config.line_for("8101632960123", PBX)

    assert (line.name, line.notice_when) == ("out", NoticeWhen.STAFF_CODE)
    assert line.destination.uri_for(line.outside_number("8101632960123")).startswith("sip:901632960123@")
    assert config.line_for("8101632960123", "192.0.2.9:5060") is None
    assert config.line_for("8101632960123") is None


@pytest.mark.parametrize("rest", ["", "1", "x@evil", "01632;user=phone", "016 32", "٣٣٣", "0" * 33, "+", "sip:1"])
def test_what_is_no_number_behind_the_prefix_is_not_called(rest):
    assert loads(TEXT, "c").line_for(f"81{rest}", PBX) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('prefix: "81", ', "", "lines.out.match.prefix: must be written"),
        (", from: [127.0.0.1]", "", "lines.out.match.from: must be written: the addresses of the PBX"),
        ('prefix: "81"', 'prefix: "81", dialled: ["81"]', "lines.out.match.dialled: goes with direction: inbound"),
        ("sip:9{number}@192.0.2.1", "sip:6000@192.0.2.1", "sip:6000@192.0.2.1 must have {number} in it"),
        ("sip:9{number}@192.0.2.1", "sip:6000@{number}", "outside its user part"),
        ('prefix: "81"', 'prefix: "8 1"', "is no prefix"),
        ("direction: outbound", "direction: inbound", "lines.out.direction: is inbound, and match.prefix"),
        ("direction: outbound", "direction: outbound\n    notice_when: before_dialling", "write staff_code or answer"),
        ("direction: outbound", "direction: outbound\n    on_no_notice: reject", "goes out before any notice can play"),
        ("direction: outbound", "direction: outbound\n    capture_from: staff_joined", "staff are there from the"),
        (OUT, OUT + OUT.replace("out:", "far:").replace('"81"', '"811"'), "'811' and '81' of line out begin alike"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_its_mend(old, new, said):
    with pytest.raises(ConfigError) as wrong:
        loads(changed(old, new), "c")

    assert said in str(wrong.value)


def test_a_line_may_play_it_at_the_answer():
    text = changed("direction: outbound", "direction: outbound\n    notice_when: answer")
    assert loads(text, "c").lines[0].notice_when is NoticeWhen.ANSWER
