import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from callrec.recording.memory import TMPFS_MAGIC, file_system_magic, forbid_core_dumps, memory_hazards

SHM = Path("/dev/shm")
in_memory = pytest.mark.skipif(file_system_magic(SHM) != TMPFS_MAGIC, reason="no tmpfs at /dev/shm")
NO_SWAP = "Filename\tType\tSize\tUsed\tPriority\n"
SWAP = NO_SWAP + "/dev/sda2\tpartition\t1000\t0\t-2\n"


def a_machine(tmp_path, *, swaps, cgroup="0::/callrec\n", limits=()):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "swaps").write_text(swaps)
    (proc / "self/cgroup").write_text(cgroup)
    for group, limit in limits:
        (groups / group).mkdir(parents=True, exist_ok=True)
        (groups / group / "memory.swap.max").write_text(limit)
    return {"proc": proc, "cgroups": groups}


@in_memory
def test_tmpfs_without_swap_is_safe(tmp_path):
    assert memory_hazards(SHM, **a_machine(tmp_path, swaps=NO_SWAP)) == ()


def test_a_disk_is_not_memory(tmp_path):
    hazards = memory_hazards(Path("/proc"), **a_machine(tmp_path, swaps=NO_SWAP))  # no tmpfs on any machine

    assert len(hazards) == 1
    assert "not in memory" in hazards[0]


def test_a_folder_that_is_not_there_is_not_memory(tmp_path):
    assert any("not in memory" in hazard for hazard in memory_hazards(tmp_path / "gone"))


@in_memory
@pytest.mark.parametrize(
    ("limits", "safe"),
    [
        ((), False),
        ((("callrec", "max\n"),), False),
        ((("callrec", "4096\n"),), False),
        ((("callrec", "0\n"),), True),
        ((("", "0\n"), ("callrec", "max\n")), True),
    ],
    ids=["no limit file", "no limit", "some swap", "own limit", "limit above"],
)
def test_swap_is_a_hazard_unless_this_group_may_not_swap(tmp_path, limits, safe):
    hazards = memory_hazards(SHM, **a_machine(tmp_path, swaps=SWAP, limits=limits))

    assert (hazards == ()) is safe
    assert safe or "swap is on" in hazards[0]


@in_memory
@pytest.mark.parametrize("cgroup", ["", "4:memory:/callrec\n"])
def test_swap_with_an_unknown_group_is_a_hazard(tmp_path, cgroup):
    assert memory_hazards(SHM, **a_machine(tmp_path, swaps=SWAP, cgroup=cgroup, limits=(("callrec", "0"),)))


@in_memory
def test_unknown_swap_is_a_hazard(tmp_path):
    machine = a_machine(tmp_path, swaps=NO_SWAP)
    (machine["proc"] / "swaps").unlink()

    assert memory_hazards(SHM, **machine)


def test_core_dumps_are_forbidden():
    assert forbid_core_dumps()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


THREADS_THAT_ALLOCATE = """
import ctypes, sys, threading
from callrec.recording.memory import share_memory_pools
share_memory_pools() if sys.argv[1] == "shared" else None
libc, together = ctypes.CDLL(None), threading.Barrier(8)
def allocate():
    together.wait()
    kept = bytes(100_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.parametrize(("how", "few"), [("shared", True), ("by default", False)])
def test_threads_take_their_memory_from_two_pools_once_that_is_asked_for(how, few):
    command = [sys.executable, "-c", THREADS_THAT_ALLOCATE, how]

    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert (len(re.findall("<heap nr", told)) <= 2) is few
