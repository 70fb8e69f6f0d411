"""The engine's waiting (deploy/pjsip/engine_wait.c): it hears what the library would, and tells the kernel less."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "deploy" / "pjsip" / "engine_wait.c"
ADD, DELETE, MODIFY = 1, 2, 3
"""EPOLL_CTL_*, as epoll_ctl(2) has them."""
READ, WRITE, HUNG_UP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP
_KERNEL = """
#include <sys/epoll.h>
int told, again;
static struct epoll_event last[16];
int __real_epoll_ctl(int set, int operation, int number, struct epoll_event *event)
{ told++; return epoll_ctl(set, operation, number, event); }
int __real_epoll_wait(int set, struct epoll_event *events, int most, int milliseconds)
{
    int count = again ? again : epoll_wait(set, last, most, milliseconds);
    for (int at = 0; at < count; at++)
        events[at] = last[at];
    return count;
}
"""
"""The kernel, which counts what it is told, and says `again` so many events of its last answer."""


class Event(ctypes.Structure):
    """struct epoll_event, which is packed on x86-64 alone."""

    _pack_ = 1 if os.uname().machine == "x86_64" else 0
    _fields_ = (("events", ctypes.c_uint32), ("data", ctypes.c_uint64))


class Queue:
    """The library's queue of sockets, as far as the kernel sees it."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library, self._set = library, select.epoll()

    @property
    def told(self) -> int:
        return ctypes.c_int.in_dll(self._library, "told").value

    def tell(self, operation: int, number: int, events: int = 0, name: int = 0) -> None:
        event = Event(events, name)
        assert self._library["__wrap_epoll_ctl"](self._set.fileno(), operation, number, ctypes.byref(event)) == 0

    def heard(self, wait_ms: int = 1000) -> list[tuple[int, int]]:
        """Of the next wait: the library's name of each socket, and what came."""
        found = (Event * 16)()
        count = self._library["__wrap_epoll_wait"](self._set.fileno(), found, 16, wait_ms)
        return [(each.data, each.events) for each in found[:count]]

    def close(self) -> None:
        self._set.close()


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("wait")
    (folder / "kernel.c").write_text(_KERNEL)
    words = ["cc", "-std=gnu11", "-O2", "-shared", "-fPIC", SOURCE, folder / "kernel.c", "-o", folder / "wait.so"]
    subprocess.run(words, check=True)
    return ctypes.CDLL(str(folder / "wait.so"))


@pytest.fixture
def queue(library) -> Iterator[Queue]:
    queue = Queue(library)
    yield queue
    queue.close()


@pytest.fixture
def peers() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_socket_that_is_read_again_and_again_is_told_to_the_kernel_once(queue, peers):
    ours, theirs = peers
    queue.tell(ADD, ours.fileno(), 0, name=7)
    queue.tell(MODIFY, ours.fileno(), READ, name=7)
    before = queue.told

    for packet in range(100):
        theirs.send(b"%d" % packet)
        assert queue.heard() == [(7, READ)]
        queue.tell(MODIFY, ours.fileno(), 0, name=7)
        assert ours.recv(10) == b"%d" % packet
        queue.tell(MODIFY, ours.fileno(), READ, name=7)

    assert queue.told == before


def test_what_comes_for_a_socket_that_nobody_reads_is_not_heard_and_is_asked_of_the_kernel_once(queue, peers):
    ours, theirs = peers
    queue.tell(ADD, ours.fileno(), READ, name=7)
    queue.tell(MODIFY, ours.fileno(), 0, name=7)
    theirs.send(b"early")
    before = queue.told

    assert queue.heard(0) == queue.heard(0) == []
    assert queue.told == before + 1

    queue.tell(MODIFY, ours.fileno(), READ, name=7)
    assert queue.heard() == [(7, READ)]


def test_a_peer_that_is_gone_is_told_though_nobody_reads(queue):
    ours, theirs = socket.socketpair()
    queue.tell(ADD, ours.fileno(), READ, name=7)
    queue.tell(MODIFY, ours.fileno(), 0, name=7)
    theirs.close()
    heard = queue.heard()
    ours.close()

    assert heard == [(7, HUNG_UP)]


def test_writing_is_waited_for_beside_reading_and_alone(queue, peers):
    ours, _ = peers
    queue.tell(ADD, ours.fileno(), READ, name=7)
    queue.tell(MODIFY, ours.fileno(), READ | WRITE, name=7)
    assert queue.heard() == [(7, WRITE)]

    queue.tell(MODIFY, ours.fileno(), 0, name=7)
    assert queue.heard(0) == []


def test_a_number_that_is_used_again_hears_nothing_of_the_socket_before(queue, peers, library):
    ours, theirs = peers
    queue.tell(ADD, ours.fileno(), READ, name=7)
    theirs.send(b"for the earlier one")
    assert queue.heard() == [(7, READ)]
    queue.tell(DELETE, ours.fileno())
    queue.tell(ADD, ours.fileno(), READ, name=8)

    again = ctypes.c_int.in_dll(library, "again")
    again.value = 1
    assert queue.heard() == []
    again.value = 0

    assert queue.heard() == [(8, READ)]
