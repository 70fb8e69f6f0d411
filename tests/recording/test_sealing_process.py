"""Sealing in another process: the same recording comes of it, and whatever happens to the process, none is lost."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from callrec._child import Child
from callrec.errors import Broken, Unavailable
from callrec.ports import AUDIO_FILE
from callrec.recording.open import open_sealed
from callrec.recording.salvage import Outcome, salvage
from callrec.recording.seal import seal, seal_again, seal_left
from callrec.recording.sealing import NAME, SealingProcess
from tests.peers.ports import until
from tests.recording.builders import ENDING, FACTS, KEY, a_header, a_spool, everything_under, recorders, stereo, voices
from tests.recording.dying import dies

CALLER, STAFF = voices(6000)
PCM = stereo(CALLER, STAFF)
ID = a_header().recording_id
BAD = "tests.recording.bad_sealers"


def live(spool, *, segment=0, spooled=4000):
    """A segment whose last samples are still with the recorders, in memory."""
    header = a_header(segment)
    opened = spool.open_segment(header, KEY, FACTS)
    opened.append(PCM[: 4 * spooled])
    heard = recorders(spool, header.recording_id)
    heard.caller.hear(CALLER)
    heard.staff.hear(STAFF)
    heard.caller.close()
    heard.staff.close()
    return opened


def audio(sealed):
    cipher = (sealed.folder / AUDIO_FILE).read_bytes()
    return open_sealed(sealed.recording_id, sealed.manifest, cipher, KEY).pcm


@pytest.fixture
def spool(tmp_path):
    return a_spool(tmp_path)


@pytest.fixture
async def sealer(spool):
    made = SealingProcess(spool)
    await made.start()
    yield made
    await made.close()


def instead(monkeypatch, fault):
    """From now on sealing processes are of this kind."""
    monkeypatch.setattr("callrec.recording.sealing._MODULE", BAD)
    real = Child.__init__
    monkeypatch.setattr(Child, "__init__", lambda self, *words, **more: real(self, *words, fault, **more))


def is_gone(pid):
    """Ended, also where nobody has asked after it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# ---------------------------------------------------------------- the same recording


async def test_the_process_seals_what_this_process_would(sealer, spool, tmp_path):
    (tmp_path / "here").mkdir()
    here = a_spool(tmp_path / "here")
    expected = seal(here, live(here), ENDING)

    sealed = await sealer.seal(live(spool), ENDING)

    assert audio(sealed) == PCM
    assert sealed.folder == spool.ready(ID)
    assert {**sealed.manifest, "cipher_sha256": ""} == {**expected.manifest, "cipher_sha256": ""}
    assert not spool.is_open(ID)
    assert spool.ids_in("tmp") == ()
    assert list((spool.runtime_dir / "live").iterdir()) == list((spool.runtime_dir / "capture").iterdir()) == []


async def test_what_captured_nothing_is_destroyed(sealer, spool):
    opened = spool.open_segment(a_header(), KEY, FACTS)

    assert await sealer.seal(opened, ENDING) is None
    assert spool.ids_in("discarded") == (ID,)
    assert not spool.is_open(ID)


async def test_what_cannot_be_sealed_is_said_as_it_would_be_here_and_the_process_goes_on(sealer, spool):
    pid = sealer.pid
    moved, gone = live(spool), live(spool, segment=1)
    path = moved.folder / "segment.json"
    path.write_bytes(path.read_bytes().replace(b"bbbbbbbb", b"dddddddd"))
    (gone.folder / "segment.json").unlink()

    with pytest.raises(Broken, match="bound to another call") as broken:
        await sealer.seal(moved, ENDING)
    with pytest.raises(Unavailable, match="cannot be read"):
        await sealer.seal(gone, ENDING)

    assert broken.value.next_step
    assert sealer.pid == pid


# ---------------------------------------------------------------- nobody else learns the key


async def test_the_key_passes_through_nothing_that_others_read(sealer, spool, tmp_path):
    await sealer.seal(live(spool), ENDING)

    proc = Path(f"/proc/{sealer.pid}")
    seen = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes() + everything_under(tmp_path)
    assert KEY.secret not in seen
    assert KEY.secret.hex().encode() not in seen


async def test_the_process_has_one_door_and_leaves_no_core(spool, tmp_path):
    sealer = SealingProcess(spool)
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        await sealer.start()
    proc = Path(f"/proc/{sealer.pid}")
    files = {one.name: str(one.readlink()) for one in (proc / "fd").iterdir()}
    limits = (proc / "limits").read_text()
    nice = int((proc / "stat").read_text().rpartition(")")[2].split()[16])
    await sealer.close()

    assert set(files) == {"0", "1", "2"}
    assert files["0"].startswith("socket:")
    assert files["1"] == "/dev/null"
    assert re.search(r"^Max core file size\s+0\s+0\s", limits, re.MULTILINE)
    assert nice > os.nice(0)


# ---------------------------------------------------------------- it dies, or hangs


async def test_a_process_that_is_killed_over_a_recording_costs_nothing(sealer, spool):
    told, first = [], sealer.pid
    sealer.tell = told.append
    os.kill(first, signal.SIGSTOP)
    sealing = asyncio.create_task(sealer.seal(live(spool), ENDING))
    await asyncio.to_thread(until, lambda: not spool_is_written(spool), seconds=10, what="the segment is closed")

    os.kill(first, signal.SIGKILL)

    assert audio(await sealing) == PCM
    assert told == [f"{NAME} was ended by SIGKILL over {ID}"]
    assert sealer.pid != first
    assert is_gone(first)


def spool_is_written(spool):
    """Whether this process holds the segment's file open."""
    links = [str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.exists()]
    return str(spool.tmp(ID) / "audio.spool") in links


async def test_a_process_that_hangs_is_replaced_after_a_while(spool):
    sealer = SealingProcess(spool, patience_s=2)
    await sealer.start()
    first = sealer.pid
    os.kill(first, signal.SIGSTOP)

    sealed = await sealer.seal(live(spool), ENDING)
    await sealer.close()

    assert audio(sealed) == PCM
    assert is_gone(first)


async def test_one_that_died_while_it_had_nothing_to_do_is_replaced_at_the_next_look(sealer):
    told, first = [], sealer.pid
    sealer.tell = told.append
    os.kill(first, signal.SIGKILL)
    await asyncio.to_thread(until, lambda: is_gone(first), seconds=10, what="it is gone")

    await sealer.start()

    assert sealer.pid != first
    assert sealer.trouble == ""
    assert told == [f"{NAME} was ended by SIGKILL while it had nothing to do"]


@pytest.mark.parametrize(("fault", "how"), [("hangs", "had not answered"), ("dies", "was ended by SIGABRT")])
async def test_what_no_process_can_seal_is_left_for_the_next_start(spool, tmp_path, monkeypatch, fault, how):
    instead(monkeypatch, fault)
    sealer = SealingProcess(spool, patience_s=0.2)
    opened = live(spool)

    with pytest.raises(Unavailable, match=f"{how}.*2 times over"):
        await sealer.seal(opened, ENDING)
    await sealer.close()

    assert spool.is_open(ID)
    (found,) = salvage(a_spool(tmp_path))
    assert found.outcome is Outcome.SEALED
    assert audio(found.sealed) == PCM


@pytest.mark.parametrize("after", [False, True])
def test_what_was_killed_anywhere_in_the_middle_is_sealed_by_the_next(tmp_path, after):
    """Every change of the file system is a moment to be killed at."""
    at, lived = 0, False
    while not lived:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        spool = a_spool(folder)
        opened = live(spool)
        spool.end(opened)
        known = opened.progress().samples
        words = (ID, KEY.secret, ENDING)
        lived = dies(lambda s=spool: seal_left(s, *words, samples=known), at, after=after)  # noqa: B023

        sealed = seal_again(spool, *words, samples=known)

        assert audio(sealed) == PCM, at
        assert not sealed.manifest["truncated"]
        assert spool.ids_in("tmp") == ()
    assert at > 10


async def test_no_second_process_is_started_beside_one_that_a_disk_holds(sealer, monkeypatch):
    async def goes_on(_process, _within_s):
        return None

    first = sealer.pid
    with monkeypatch.context() as patch:
        patch.setattr("callrec._child._ended", goes_on)
        await sealer._child._end(sealer._child._living)
    held = sealer._child._stuck
    with monkeypatch.context() as patch:
        patch.setattr(held, "poll", lambda: None)
        with pytest.raises(Unavailable, match=f"process {first} was killed and does not end"):
            await sealer.start()
        assert "kernel log" in sealer.trouble

    await asyncio.to_thread(held.wait, 10)
    await sealer.start()
    assert sealer.pid not in (None, first)


# ---------------------------------------------------------------- it ends with its owner

OWNER = """
import asyncio, sys
from pathlib import Path
from callrec.recording.sealing import SealingProcess
from callrec.recording.spool import Spool

async def main():
    sealer = SealingProcess(Spool(Path(sys.argv[1]), Path(sys.argv[2])))
    await sealer.start()
    print(sealer.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("it", ["waits", "works on something"])
def test_it_ends_with_its_owner(spool, it):
    words = [sys.executable, "-c", OWNER, spool.folder, spool.runtime_dir]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) as owner:
        pid = int(owner.stdout.readline())
        if it == "works on something":
            os.kill(pid, signal.SIGSTOP)  # it cannot see that its door was closed
        owner.kill()

    assert until(lambda: is_gone(pid), seconds=10, what="it ends")


# ---------------------------------------------------------------- the next agent waits for it


def test_what_another_process_still_seals_is_not_salvaged_beside_it(spool, tmp_path, monkeypatch):
    live(spool)
    after = a_spool(tmp_path)

    with spool.working_on_tmp():
        monkeypatch.setattr("callrec.recording.spool._OTHERS_END_S", 0.1)
        with pytest.raises(Unavailable, match="another process works"):
            salvage(after)

    assert [found.outcome for found in salvage(after)] == [Outcome.SEALED]


# ---------------------------------------------------------------- it cannot be started


async def test_one_that_cannot_be_started_says_why_and_what_to_do(spool, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    sealer = SealingProcess(spool)
    with pytest.raises(Unavailable, match="the sealing process cannot be started: No such file"):
        await sealer.start()
    assert "TasksMax" in sealer.trouble


async def test_one_that_ends_before_it_is_ready_says_so(spool, monkeypatch):
    monkeypatch.setattr("callrec.recording.sealing._MODULE", "callrec.no_such_module")
    sealer = SealingProcess(spool)
    with pytest.raises(Unavailable, match="ended with status 1 before it was ready"):
        await sealer.start()


async def test_one_without_its_spool_says_so(spool, tmp_path):
    sealer = SealingProcess(spool)
    spool.folder.rename(tmp_path / "away")
    with pytest.raises(Unavailable, match="spool folder"):
        await sealer.start()
    assert sealer.pid is None
