"""Run something in a child process that dies at its n-th change of the file system, as if killed: no `finally` runs."""

import os

CHANGES = ("write", "fsync", "fdatasync", "ftruncate", "rename", "replace", "unlink", "rmdir", "mkdir", "link")
KILLED = 9


def dies(work, at, *, after):
    """Fork; the child does `work` and dies before or after its change number `at`. True where it lived to its end."""
    child = os.fork()
    if child == 0:
        _become_mortal(at, after=after)
        try:
            work()
        except BaseException:  # noqa: BLE001 - whatever it is, the parent must learn of it and no test code may run
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, KILLED), "the work failed by itself"
    return status == 0


def _become_mortal(at, *, after):
    steps = {"n": 0}
    for name in CHANGES:
        real = getattr(os, name)

        def change(*args, real=real, **kwargs):
            steps["n"] += 1
            if steps["n"] == at and not after:
                os._exit(KILLED)
            try:
                return real(*args, **kwargs)
            finally:
                if steps["n"] == at:
                    os._exit(KILLED)

        setattr(os, name, change)
