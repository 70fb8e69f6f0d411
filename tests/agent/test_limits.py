"""An agent has the open files that its calls need, or says before it starts how many that are."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """\
import resource, sys
from callrec.agent.limits import raise_open_files
from callrec.errors import ConfigError
try:
    print(raise_open_files(60), *resource.getrlimit(resource.RLIMIT_NOFILE))
except ConfigError as error:
    print(error.diagnosis())
"""


def asked(soft: int, hard: int) -> str:
    words = ["sh", "-c", f'ulimit -Sn {soft}; ulimit -Hn {hard}; exec "$0" -c "$1"', sys.executable, ASK]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout


@pytest.mark.parametrize(("soft", "got"), [(1024, "1472 1472 4096"), (4000, "1472 4000 4096")])
def test_the_limit_is_raised_as_far_as_calls_need_and_never_lowered(soft, got):
    assert asked(soft, 4096).split() == got.split()


def test_where_the_system_grants_too_few_it_says_how_many_and_how():
    said = asked(1024, 1024)

    assert "agent.max_calls: 60 calls need 1472 open files, and this process may have 1024" in said
    assert "LimitNOFILE=1472" in said
