"""Who is told, when, and of what: once at the onset, once at the recovery."""

from __future__ import annotations

import pytest

from callrec.agent.board import NOT_SERVED_KEPT, Board
from callrec.config import Alerts
from callrec.core.reasons import Reason

HOUR_NS = 3_600 * 10**9


@pytest.fixture
def told():
    return []


@pytest.fixture
def board(told):
    alerts = Alerts(command=None, our_fault_in_a_row=3, our_fault_share_1h=0.5, store_down_s=900)
    return Board(["advice"], alerts, tell=told.append)


def end(board, reason, at_ns=0):
    board.call_ended("advice", reason, now_ns=at_ns, utc="T")


def test_an_obstacle_is_told_at_its_onset_and_at_its_end_and_not_between(board, told):
    for obstacle in ("NOTICE_MISSING: gone", "NOTICE_MISSING: gone", None, None):
        board.checked("advice", obstacle, utc="T")

    assert told == [
        "line advice: NOT RECORDING since T because NOTICE_MISSING: gone",
        "line advice: recording again since T",
    ]


def test_three_faults_in_a_row_are_an_alarm_and_a_recorded_call_ends_it(board, told):
    for reason in (Reason.NOTICE_NOT_SENT, Reason.NOTICE_NOT_SENT):
        end(board, reason)
    assert told == []

    end(board, Reason.NOTICE_ALTERED)
    assert "3 calls in a row were not recorded by our fault, the last for NOTICE_ALTERED" in told[0]

    end(board, None)
    assert told[1] == "line advice: recording again since T"


@pytest.mark.parametrize("reason", [Reason.CALLER_DECLINED, Reason.CALLER_HUNG_UP, Reason.EMERGENCY_BYPASS])
def test_what_callers_choose_is_never_our_fault(board, told, reason):
    for _ in range(10):
        end(board, reason)

    assert told == []
    assert board.lines["advice"].recording


def test_a_large_share_of_faults_within_the_hour_is_an_alarm(board, told):
    for turn in range(8):
        end(board, None if turn % 4 == 0 else Reason.NOTICE_NOT_SENT, at_ns=turn)

    assert not board.lines["advice"].recording
    assert told


def test_faults_older_than_an_hour_no_longer_count(board, told):
    for turn in range(4):
        end(board, Reason.NOTICE_NOT_SENT if turn % 2 else None, at_ns=turn)
    for turn in range(5):
        end(board, None, at_ns=2 * HOUR_NS + turn)

    assert board.lines["advice"].share_of_faults(2 * HOUR_NS + 9) == 0.0
    assert told == []


def test_only_the_newest_invites_not_served_are_remembered(board):
    for number in range(NOT_SERVED_KEPT + 5):
        board.turned_away(utc="T", source=f"192.0.2.{number}:5060", why="404", key="lines.*.match.dialled")

    kept = board.as_json()["not_served"]
    assert kept[0]["source"] == "192.0.2.5:5060"
    assert len(kept) == NOT_SERVED_KEPT
