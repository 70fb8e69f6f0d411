"""Is memory really memory? Plain audio may lie in `runtime_dir` only where it can never reach a disk (design: 9)."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TMPFS_MAGIC: Final = 0x01021994
RAMFS_MAGIC: Final = 0x858458F6
_PR_SET_DUMPABLE: Final = 4
_M_PERTURB: Final = -6
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2
_FREED_BYTE: Final = 0xFF
_STATFS_BYTES: Final = 512
_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")

_libc = ctypes.CDLL(None, use_errno=True)


def forbid_core_dumps() -> bool:
    """No core file of this process from now on, nor of what it starts: RLIMIT_CORE 0, and where the kernel pipes cores
    into a program, which ignores that limit, not dumpable either (core(5)). True where both hold.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        piped = (_PROC / "sys/kernel/core_pattern").read_text().startswith("|")
    except OSError:
        piped = True
    return not piped or _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0


def wipe_freed_memory() -> bool:
    """Overwrite what this process gives back to the C library, from now on (mallopt(3), M_PERTURB): voices that passed
    through buffers, the engine's too, do not lie there until the memory is used again. False where the library cannot.

    Not reached: chunks of up to 1 KiB while they wait in a thread's cache, and frames in buffers still in use.
    """
    try:
        return bool(_libc.mallopt(_M_PERTURB, _FREED_BYTE) == 1)
    except AttributeError:
        return False


def share_memory_pools() -> bool:
    """Let all threads begun from now on take their memory from two pools of the C library (mallopt(3), M_ARENA_MAX). By
    default there are eight for each core, and what every call puts for a while into the pool of another thread lies
    about in all of them. False where the library cannot.
    """
    try:
        return bool(_libc.mallopt(_M_ARENA_MAX, _ARENAS) == 1)
    except AttributeError:
        return False


def memory_hazards(runtime_dir: Path, *, proc: Path = _PROC, cgroups: Path = _CGROUPS) -> tuple[str, ...]:
    """Why plain audio in `runtime_dir` could reach a disk; empty where it cannot. Forbids core dumps on the way.

    Each hazard is one sentence for a person, naming what to change. The caller refuses to record while there is one.
    """
    return tuple(_hazards(runtime_dir, proc, cgroups))


def _hazards(runtime_dir: Path, proc: Path, cgroups: Path) -> Iterator[str]:
    if file_system_magic(runtime_dir) not in (TMPFS_MAGIC, RAMFS_MAGIC):
        yield f"{runtime_dir} is not in memory: mount a tmpfs there, or set agent.runtime_dir"
    if _swaps(proc) and not _kept_from_swap(proc, cgroups):
        yield "swap is on: swapoff -a, or MemorySwapMax=0 for this service"
    if not forbid_core_dumps():
        yield "core dumps cannot be forbidden: set LimitCORE=0 for this service"


def file_system_magic(path: Path) -> int | None:
    """The kind of file system under `path`, as statfs(2) names it; None where it cannot be asked."""
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.statfs(os.fsencode(path), answer) != 0:
        return None
    return int(ctypes.c_ulong.from_buffer(answer).value)


def _swaps(proc: Path) -> bool:
    try:
        lines = (proc / "swaps").read_text().splitlines()
    except OSError:
        return True
    return len(lines) > 1


def _kept_from_swap(proc: Path, cgroups: Path) -> bool:
    """Whether this cgroup (version 2) or one above it may not swap."""
    try:
        groups = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return False
    own = next((line[3:] for line in groups if line.startswith("0::")), None)
    if own is None:
        return False
    group = Path(own.lstrip("/"))
    return any(_reads_zero(cgroups / level / "memory.swap.max") for level in (group, *group.parents))


def _reads_zero(path: Path) -> bool:
    try:
        return path.read_text().strip() == "0"
    except OSError:
        return False
