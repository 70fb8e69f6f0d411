"""The parts that need no library running: keys, settings, measures, the thread, OPTIONS."""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.errors import ConfigError
from callrec.sip import options
from callrec.sip.counters import Counters
from callrec.sip.keys import KeyRelay
from callrec.sip.media import finished_pcm, finished_size, wav
from callrec.sip.observe import incarnation, loud_frames
from callrec.sip.settings import SipSettings, Trunk, parse_listen, within
from callrec.sip.thread import SipThread
from tests.peers import audio

DIGITS = st.text("0123456789*#", max_size=20)
WORDS = st.lists(st.text("0123456789*#", min_size=1, max_size=4), max_size=4)


def pressed(words: str, digits: str) -> str:
    relay = KeyRelay()
    relay.swallow(words)
    return "".join(map(relay.press, digits)) + relay.flush()


@pytest.mark.parametrize(
    ("digits", "passed"),
    [("1", "1"), ("2", ""), ("**2", ""), ("**57", "**57"), ("*", "*"), ("999", ""), ("99", "99"), ("9987", "9987")],
)
def test_only_the_keys_of_ours_are_kept(digits, passed):
    assert pressed("2 **2 999", digits) == passed


@given(WORDS, DIGITS)
def test_what_is_passed_on_was_pressed_in_that_order(words, digits):
    left = iter(digits)

    assert all(digit in left for digit in pressed(" ".join(words), digits))


@given(WORDS)
def test_a_sequence_of_ours_is_never_passed_on(words):
    for word in words:
        assert pressed(" ".join(words), word) == ""


@given(DIGITS)
def test_without_words_every_key_is_passed_on_at_once(digits):
    relay = KeyRelay()

    assert [relay.press(digit) for digit in digits] == list(digits)
    assert not relay.waits


def test_a_socket_is_written_as_transport_address_port():
    listen = parse_listen("tcp:[::1]:5080")

    assert (listen.transport, listen.host, listen.port) == ("tcp", "::1", 5080)


@pytest.mark.parametrize(
    "text", ["127.0.0.1:5080", "udp:127.0.0.1", "udp:localhost:5080", "sctp:127.0.0.1:1", "udp:::0"]
)
def test_a_socket_that_cannot_be_is_named(text):
    with pytest.raises(ConfigError, match=r"sip\.listen") as caught:
        parse_listen(text)

    assert "127.0.0.1:5080" in caught.value.next_step


def test_listening_nowhere_is_a_mistake(tmp_path):
    settings = SipSettings(listen=(), rtp_ports=(4000, 4010), allow_from=(), runtime_dir=tmp_path)

    with pytest.raises(ConfigError, match="empty"):
        settings.sockets()


def test_a_password_is_not_shown():
    assert "secret" not in repr(Trunk(uri="sip:pbx", user="u", password="secret"))


def test_an_address_lies_within_or_not():
    loopback = (ip_network("127.0.0.0/8"),)

    assert within("127.0.0.1", loopback)
    assert not within("192.0.2.1", loopback)
    assert not within("not an address", loopback)


def test_loud_frames_have_loud_neighbours():
    sound = np.concatenate([audio.silence(0.5), audio.tone(1000, 1), audio.silence(0.5)])

    loud = loud_frames(sound.astype("<i2").tobytes())

    assert len(loud) == 100
    assert loud[50]
    assert not any(loud[:29])
    assert not loud[73]
    assert loud_frames(b"") == []


def test_a_streams_share_is_what_it_counted_between_two_readings():
    first = Counters(sent=10, octets=1600, last_sequence=65534, last_timestamp=1600)
    last = Counters(sent=15, octets=2400, last_sequence=3, last_timestamp=2400, payload_type=8, codec="PCMA")

    share = incarnation(first, last)

    assert (share.sent, share.octets, share.codec) == (5, 800, "PCMA")
    assert (share.first_sequence, share.last_sequence) == (65535, 3)
    assert (share.first_timestamp, share.last_timestamp) == (1760, 2400)
    assert incarnation(last, last).first_sequence is None


def test_a_file_is_finished_once_its_header_says_how_long_it_is(tmp_path):
    file = tmp_path / "tap.wav"
    assert finished_size(file) == 0
    file.write_bytes(wav(b"")[:40] + bytes(4) + b"ab")
    assert finished_size(file) == 0
    file.write_bytes(wav(b"abcd"))
    assert finished_pcm(file) == b"abcd"


async def test_jobs_run_in_order_on_the_one_thread_and_a_failing_one_stops_nothing():
    polled = threading.Event()
    thread = SipThread(lambda _: polled.set(), lambda: None)
    thread.start()
    names: list[str] = []

    thread.post(lambda: names.append(threading.current_thread().name))
    thread.post(lambda: names[99])
    with pytest.raises(ZeroDivisionError):
        await asyncio.wrap_future(thread.run(lambda: 1 // 0))
    later = asyncio.get_running_loop().create_future()
    thread.post(
        lambda: thread.call_later(0.01, lambda: later.get_loop().call_soon_threadsafe(later.set_result, "done"))
    )

    assert await asyncio.wait_for(later, 10) == "done"
    assert names == ["sip"]
    assert polled.is_set()
    thread.stop()


def test_options_is_answered_by_anything_that_speaks_sip():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(10)
        asked: list[bytes] = []

        def reply() -> None:
            text, source = peer.recvfrom(4096)
            asked.append(text)
            peer.sendto(b"SIP/2.0 404 Not Found\r\n\r\n", source)

        answering = threading.Thread(target=reply)
        answering.start()
        uri = f"sip:6000@127.0.0.1:{peer.getsockname()[1]}"

        assert options.answers(uri, timeout_s=10)

        answering.join(10)
    assert asked[0].startswith(f"OPTIONS {uri} SIP/2.0\r\n".encode())


def test_options_to_nobody_is_not_answered():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))

        assert not options.answers(f"sip:127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2)


def test_a_uri_without_a_port_means_5060():
    assert options.port_of("sip:6000@pbx.example") == 5060
    assert options.port_of("sip:6000@[::1]:5062;transport=tcp") == 5062
