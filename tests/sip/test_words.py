"""Text from strangers in, our own words out: pure."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.evidence import Direction
from callrec.core.values import DialFailure
from callrec.sip.message import (
    LONGEST_TEXT,
    NameAddr,
    clean,
    connection_addresses,
    host_of,
    parse_message,
    parse_name_addr,
    split_list,
    user_of,
)
from callrec.sip.settings import Trunk
from callrec.sip.translate import (
    allows_info,
    cause_of,
    dial_failure_of,
    dialled_uri,
    direction_of,
    ending_of,
    foreign_media,
    from_value,
    host_of_source,
    invite_of,
    reason_value,
    safe_headers,
    status_of,
    trunk_of,
)

INVITE = """INVITE sip:5000@192.0.2.1;user=phone SIP/2.0\r
v: SIP/2.0/TCP 192.0.2.9:5060;branch=z9hG4bK1\r
f: "O\\"Hara, Ann" <sip:+441632960001@example.org;tag=no>;tag=abc\r
To: <sip:5000@192.0.2.1>\r
i: call-1@example.org\r
P-Asserted-Identity: "A, B" <sip:1@example.org>, <tel:+441632960001>\r
Diversion: <sip:5000@example.org>;reason=busy\r
Privacy: id\r
Allow: INVITE, ACK,\r
 INFO\r
x-language: cy\r
X-Language: en\r
\r
v=0\r
c=IN IP4 192.0.2.7\r
"""


def test_an_invite_becomes_data():
    message = parse_message(INVITE)

    invite = invite_of(message, call_uid="u", source="192.0.2.9:5060")

    assert invite.dialled == "5000"
    assert invite.transport == "tcp"
    assert (invite.from_display, invite.from_uri) == ('O"Hara, Ann', "sip:+441632960001@example.org;tag=no")
    assert invite.from_tag == "abc"
    assert invite.sip_call_id == "call-1@example.org"
    assert invite.asserted_identity == ('"A, B" <sip:1@example.org>', "<tel:+441632960001>")
    assert invite.diversion == ("<sip:5000@example.org>;reason=busy",)
    assert invite.privacy == "id"
    assert invite.headers["X-LANGUAGE"] == "cy"
    assert allows_info(message)
    assert connection_addresses(message.body) == ("192.0.2.7",)


@given(st.text(max_size=2000))
def test_no_text_of_a_stranger_raises_or_leaves_uncut(text):
    message = parse_message(text)
    invite = invite_of(message, call_uid="u", source=text)

    strings = [invite.dialled, invite.request_uri, invite.from_uri, invite.from_display, invite.from_tag]
    strings += [invite.to_uri, invite.sip_call_id, invite.privacy, invite.source, invite.transport]
    strings += [*invite.asserted_identity, *invite.diversion, *invite.headers, *invite.headers.values()]
    assert all(len(one.encode()) <= LONGEST_TEXT and (one.isprintable() or not one) for one in strings)
    connection_addresses(text)
    allows_info(message)
    cause_of(200, text)
    reason_value(text)


@given(st.text(max_size=400))
def test_what_is_sent_on_stays_in_its_line(text):
    assert all("\r" not in value and "\n" not in value for _, value in safe_headers((("X-A", text), (text, "b"))))
    shown = from_value(NameAddr(display=text, uri="sip:1@example.org", tag=""), prefix=text)
    inner = shown.removesuffix(" <sip:1@example.org>").removesuffix("<sip:1@example.org>")
    quotes = inner[1:-1].replace("\\\\", "").replace('\\"', "")
    assert '"' not in quotes
    assert "\n" not in shown


def test_text_is_cut_by_bytes_and_whole_letters():
    assert clean("é" * 300) == "é" * 128
    assert clean("a\x1b[2Jb\r\nc\u202ed") == "a[2Jbcd"


@pytest.mark.parametrize(
    ("uri", "user", "host"),
    [
        ("sip:5000@192.0.2.1:5080;transport=tcp", "5000", "192.0.2.1"),
        ("sip:5000:secret@example.org", "5000", "example.org"),
        ("sip:5000@[2001:db8::1]:5060", "5000", "[2001:db8::1]"),
        ("tel:+441632960001;phone-context=x", "+441632960001", "+441632960001"),
        ("sip:example.org", "", "example.org"),
        ("nonsense", "", ""),
    ],
)
def test_a_uri_gives_user_and_host(uri, user, host):
    assert (user_of(uri), host_of(uri)) == (user, host)


def test_lists_split_at_commas_that_separate():
    assert split_list('"a,b" <sip:1@x>, <sip:2,3@y> ,,c') == ('"a,b" <sip:1@x>', "<sip:2,3@y>", "c")
    assert parse_name_addr("sip:1@x;tag=q") == NameAddr(display="", uri="sip:1@x", tag="q")


def test_a_cause_survives_the_way_there_and_back():
    assert reason_value("User busy") == 'Q.850;cause=17;text="User busy"'
    assert reason_value("Q.850;cause=31") == 'Q.850;cause=31;text="Normal, unspecified"'
    assert reason_value("SIP;cause=486") == "SIP;cause=486"
    assert reason_value("notice could not be given") == 'Q.850;cause=16;text="Normal call clearing"'
    assert cause_of(200) == "Q.850;cause=16"
    assert cause_of(200, 'SIP ;cause=600 ;text="Busy"') == "SIP;cause=600"
    assert cause_of(487) == "SIP;cause=487"
    assert [status_of(cause) for cause in ("busy", "SIP;cause=404", "SIP;cause=200", "?")] == [486, 404, 480, 480]


@pytest.mark.parametrize(
    ("status", "replied", "failure"),
    [
        (486, True, DialFailure.BUSY),
        (600, True, DialFailure.BUSY),
        (408, False, DialFailure.UNREACHABLE),
        (408, True, DialFailure.NO_ANSWER),
        (480, False, DialFailure.NO_ANSWER),
        (503, True, DialFailure.UNREACHABLE),
        (302, True, DialFailure.REFUSED),
        (603, True, DialFailure.REFUSED),
    ],
)
def test_a_status_says_why_a_destination_was_not_reached(status, replied, failure):
    assert dial_failure_of(status, replied=replied) is failure


def test_direction_bits_are_seen_from_us():
    assert [direction_of(bits) for bits in range(4)] == [
        Direction.INACTIVE,
        Direction.SENDONLY,
        Direction.RECVONLY,
        Direction.SENDRECV,
    ]


def test_a_trunks_name_stands_for_its_address():
    trunks = {"pbx": Trunk(uri="sip:127.0.0.1:5062;transport=tcp")}

    assert dialled_uri("sip:6000@pbx", trunks) == "sip:6000@127.0.0.1:5062;transport=tcp"
    assert dialled_uri("sip:6000@example.org", trunks) == "sip:6000@example.org"
    assert (trunk_of("sip:6000@pbx", trunks), trunk_of("sip:6000@other", trunks)) == ("pbx", "")


def test_media_is_foreign_outside_the_given_networks_and_hold_of_old_is_not():
    here = (ip_network("192.0.2.0/24"),)

    assert not foreign_media("c=IN IP4 192.0.2.7\r\n", here)
    assert not foreign_media("c=IN IP4 0.0.0.0\r\n", here)
    assert not foreign_media("c=IN IP4 198.51.100.1\r\n", ())
    assert foreign_media("c=IN IP4 192.0.2.7\r\nm=audio\r\nc=IN IP4 198.51.100.1\r\n", here)
    assert foreign_media("c=IN IP4 somewhere.example\r\n", here)


def test_a_source_gives_its_host():
    assert host_of_source("127.0.0.1:5060") == "127.0.0.1"
    assert host_of_source("[::1]:5060") == "::1"
    assert host_of_source("") == ""


@pytest.mark.parametrize(
    ("cause", "said"),
    [("SIP;cause=408", "Q.850;cause=41"), ("Q.850;cause=16", "Q.850;cause=16"), ("User busy", "User busy")],
)
def test_a_call_that_broke_does_not_end_like_one_that_was_finished(cause, said):
    assert ending_of(cause) == said
