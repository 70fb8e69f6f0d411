"""The alert command hears the message as one argument, and a command that hangs or is missing does no harm."""

from __future__ import annotations

import sys

from callrec.agent import board

HOSTILE = 'line advice: NOT RECORDING; $(touch gone) `touch gone` "quoted"'


async def test_the_command_gets_the_message_as_its_last_argument_and_no_shell_reads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = "import sys, pathlib; pathlib.Path('told').write_text(sys.argv[1])"

    await board.run_alert((sys.executable, "-c", script), HOSTILE)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"told": HOSTILE}


async def test_a_command_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(board, "_COMMAND_S", 0.2)

    code = await board.run_alert((sys.executable, "-c", "import threading; threading.Event().wait()"), "x")

    assert code != 0


async def test_a_command_that_is_missing_is_reported_and_not_raised():
    assert await board.run_alert(("/nonexistent/alarm",), "x") != 0
