"""A real Asterisk laid out as FreePBX lays it out, with the files of deploy/freepbx in their places.

FreePBX itself is not here. Names and behaviour of what its modules generate are written after their sources (core,
queues, callrecording, customappsreg, release 17): which file includes which, what an inbound route and a queue with
"Queue No Answer" and "Call Recording: Yes" do before they go on.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.peers.asterisk import RECIPE, Asterisk, pbx_files
from tests.peers.ports import LOOPBACK

DID = "441632960001"
QUEUE = "6000"
HERE = RECIPE.parent / "freepbx"
WITHOUT_ITS_LINE = r"/^\[callrec-lines\]/,$d"
"""What README.md and the file itself give to sed."""


class FreePbx(Asterisk):
    """See above. 441632960001 is an advice line, whose queue 6000 rings `staff`."""

    def __init__(
        self, folder: Path, *, callrec: str, staff: str = f"{LOOPBACK}:9", colleague: str = f"{LOOPBACK}:9"
    ) -> None:
        self._start(folder, lambda: _files(self.port, callrec, staff, colleague))


def _files(port: int, callrec: str, staff: str, colleague: str) -> Mapping[str, str]:
    plain = pbx_files(port, callrec=callrec, staff=staff, colleague=colleague)
    recipe = RECIPE / "extensions_callrec.conf"
    stripped = subprocess.run(["sed", WITHOUT_ITS_LINE, recipe], check=True, capture_output=True, text=True).stdout
    pjsip = plain["pjsip.conf"].replace("#include pjsip_callrec.conf", "").replace("from-carrier", "from-pstn")
    return {
        **plain,
        "pjsip.conf": f"#include pjsip_custom.conf\n{pjsip}",
        "pjsip_custom.conf": "#include pjsip_callrec.conf\n",
        "extensions_callrec.conf": stripped,
        "extensions_custom.conf": (HERE / "extensions_custom.conf").read_text(),
        "extensions.conf": _GENERATED,
        "queues.conf": plain["queues.conf"].replace("[advice]", f"[{QUEUE}]"),
    }


_GENERATED = f"""\
[general]
static=yes
writeprotect=yes
[globals]
TRANSFER_CONTEXT=from-internal-xfer
#include extensions_custom.conf
[from-pstn]
include => ext-did
[ext-did]
exten => {DID},1,Set(__FROM_DID=${{EXTEN}})
 same => n,Goto(callrec-in,{QUEUE},1)
[ext-queues]
exten => {QUEUE},1,Progress()
 same => n,Gosub(sub-record-check,s,1(q,${{EXTEN}},yes))
 same => n,Queue(${{EXTEN}},t,,,160)
 same => n,Hangup()
[ext-group]
exten => 600,1,Hangup()
[ext-local]
exten => 201,1,Dial(PJSIP/colleague,30)
[sub-record-check]
exten => s,1,GotoIf($["${{REC_POLICY_MODE}}" = "NEVER"]?done)
 same => n,MixMonitor(pbx.wav)
 same => n(done),Return()
"""
