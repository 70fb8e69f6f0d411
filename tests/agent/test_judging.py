"""Verifiers that hang cost recordings, and no more workers than there are turns."""

from __future__ import annotations

import threading

import pytest

from callrec.agent import judging
from callrec.errors import Unavailable
from tests.core.builders import GOOD_OBSERVATION


def test_a_notice_that_finds_the_verifiers_stuck_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(judging, "_TURNS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(judging, "TURN_S", 0.0)
    judging._TURNS.acquire()

    with pytest.raises(Unavailable, match="stuck"):
        judging.weigh(GOOD_OBSERVATION, prompt=None, pcm=b"", binding=None, language="en")


def test_a_verifier_that_raises_gives_its_turn_back(monkeypatch):
    monkeypatch.setattr(judging, "_TURNS", threading.BoundedSemaphore(1))

    with pytest.raises(AttributeError):
        judging.weigh(GOOD_OBSERVATION, prompt=None, pcm=b"", binding=None, language="en")
    assert judging._TURNS.acquire(timeout=0)
