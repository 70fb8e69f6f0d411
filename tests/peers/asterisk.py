"""A real Asterisk with the operators' recipe, in a chroot, on its own ports; several can run side by side.

    with Asterisk(tmp_path / "pbx", callrec=agent_address, staff=staff.address) as pbx:
        caller.dial(f"sip:5000@{pbx.address}")          # 5000: the advice line 6000, through callrec
        ...
        assert pbx.cdr()[0].userfield == "callrec-carried"

The files of deploy/asterisk are used as they are but for the two addresses that an operator sets too. Callers must come
from another loopback address than callrec does (Ear(..., host="127.0.0.3")), since the recipe tells callrec by address.

    5000 -> callrec, line 6000 (a queue whose member is `staff`)      5001..5008 -> callrec, line 6001..6008
    6001 answers, 1000 Hz for ever        6002 busy             6003 rings, never answers
    6004 early media (1000 Hz), answers after 2 s               6005 answers, then echoes
    6006 answers, music on hold (1050 Hz) 6007 answers, silent, hangs up after 3 s
    6008 is forwarded to 5001             5009 -> MixMonitor (which must stop), then callrec, line 6001
6009 MixMonitor, then as 6001           5010..5015 -> callrec, line 6010..6015
6010 rings 2 s, then as 6001          6011 the phone of `staff`, who may transfer by REFER or with *2
6012 the phone of `colleague`         6013 answers, 1000 Hz, after 1 s sends callrec away by REFER, then 1000 Hz again
6014 early media (900 Hz), after 2 s answers, 1000 Hz
6015 as 6011, but held callers hear the PBX's music
6017 answers, 900 Hz for 3 s, then the phone of `staff`, whose answer callrec is told of
6018 somebody outside, played by the phone of `colleague`, then 6001; callrec is told of both
6019 the queue of 6000, answered by the PBX before; callrec is told of the member who joins
6000 to 6019 may be dialled directly as well
07700900222 -> callrec, then somebody outside: the phone of `colleague`
"""

from __future__ import annotations

import csv
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from time import monotonic
from typing import Self

from tests.peers import audio, ports
from tests.peers.ports import LOOPBACK, Process

_PROJECT = Path(__file__).parents[2]
RECIPE = _PROJECT / "deploy" / "asterisk"
ROOT = _PROJECT / "build" / "asterisk-chroot"
CALLER_HOST = "127.0.0.3"
"""Where test callers come from: the PBX takes 127.0.0.1 for callrec."""
MUSIC_HZ = 1050
_QUALIFY_S = 1.5
"""Longer than the PBX waits for the answer to an OPTIONS."""
_MODULES = re.findall(
    r"\w+",
    """
    app_cdr app_dial app_echo app_mixmonitor app_playback app_playtones app_queue app_read app_stack app_transfer
    app_verbose bridge_builtin_features bridge_holding bridge_native_rtp bridge_simple bridge_softmix cdr_custom
    chan_pjsip codec_a_mu codec_alaw codec_resample codec_ulaw format_pcm format_sln format_wav func_callerid func_cdr
    func_channel func_curl func_devstate func_export func_hangupcause func_logic func_pjsip_endpoint func_strings
    func_timeout pbx_config res_cdrel_custom res_curl res_musiconhold res_pjproject res_pjsip res_pjsip_acl
    res_pjsip_caller_id res_pjsip_diversion res_pjsip_dtmf_info res_pjsip_endpoint_identifier_ip
    res_pjsip_endpoint_identifier_user res_pjsip_header_funcs res_pjsip_logger res_pjsip_nat
    res_pjsip_pubsub res_pjsip_refer res_pjsip_rfc3326
    res_pjsip_sdp_rtp res_pjsip_session res_rtp_asterisk res_sorcery_astdb res_sorcery_config res_sorcery_memory
    res_timing_timerfd
""",
)
_CDR_FIELDS = ("src", "dst", "channel", "dstchannel", "lastapp", "disposition", "userfield", "linkedid", "billsec")


def available() -> bool:
    """True where the chroot was made and can be entered."""
    return (ROOT / ".complete").exists()


@dataclass(frozen=True, slots=True)
class Cdr:
    """One call detail record, as Asterisk wrote it."""

    src: str
    dst: str
    channel: str
    dstchannel: str
    lastapp: str
    disposition: str
    userfield: str
    linkedid: str
    billsec: str


class Asterisk:
    """One running Asterisk. `address` is where it takes calls."""

    def __init__(
        self, folder: Path, *, callrec: str, staff: str = f"{LOOPBACK}:9", colleague: str = f"{LOOPBACK}:9"
    ) -> None:
        self._start(folder, lambda: pbx_files(self.port, callrec=callrec, staff=staff, colleague=colleague))

    def _start(self, folder: Path, files: Callable[[], Mapping[str, str]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._inside = Path("/srv") / f"callrec-{secrets.token_hex(6)}"
        self._outside = ROOT / self._inside.relative_to("/")
        self.port = ports.free_port()
        self.address = f"{LOOPBACK}:{self.port}"
        self.log = self._outside / "log" / "messages"
        self._keep_log = folder / "messages"
        for name in ("etc", "log/cdr-custom", "run", "lib", "db", "spool/monitor", "sounds/music"):
            (self._outside / name).mkdir(parents=True)
        audio.write_wav(self._outside / "sounds" / "music" / "music.wav", audio.tone(MUSIC_HZ, 10))
        audio.write_wav(self._outside / "sounds" / "pbx-transfer.wav", audio.silence(0.1))  # a transfer asks with this
        (self._outside / "documentation").symlink_to("/usr/share/asterisk/documentation")
        self._configure(files())
        words = ["chroot", ROOT, "/usr/sbin/asterisk", "-C", self._inside / "etc/asterisk.conf", "-f", "-n"]
        self.process = Process(words, folder=folder, name="asterisk")
        try:
            ports.wait_udp(self.port, self.process, seconds=30)
            ports.until(self._booted, seconds=30, what="Asterisk is fully booted")
        except BaseException:
            self.stop()
            raise

    def _booted(self) -> bool:
        return "fully booted" in self.cli("core waitfullybooted")

    def cli(self, command: str) -> str:
        """What Asterisk's own console answers."""
        words = ["chroot", ROOT, "/usr/sbin/asterisk", "-C", self._inside / "etc/asterisk.conf", "-rx", command]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout + done.stderr

    def cdr(self) -> list[Cdr]:
        """All call detail records so far, in order of writing: a call's is written when it is over."""
        path = self._outside / "log" / "cdr-custom" / "calls.csv"
        lines = path.read_text().splitlines() if path.exists() else []
        return [Cdr(*row) for row in csv.reader(lines)]

    def wait_cdr(self, userfield: str, *, seconds: float) -> Cdr:
        """The first record whose userfield starts so; PeerFailed when none comes in time."""
        return ports.until(
            lambda: next((one for one in self.cdr() if one.userfield.startswith(userfield)), None),
            seconds=seconds,
            what=f"a CDR {userfield!r}; there are {self.cdr()}",
        )

    def reach_callrec(self, *, within_s: float) -> None:
        """Ask callrec with OPTIONS until it answers: until then the PBX goes round it."""

        def reached() -> bool:
            self.cli("pjsip qualify callrec")
            return "Avail " in self.cli("pjsip show aor callrec")

        ports.until(reached, seconds=within_s, what="callrec answers the PBX's OPTIONS")

    def find_callrec(self, *, within_s: float) -> None:
        """As above, and for good: an OPTIONS from before callrec was there is given up a second later."""
        settled = monotonic() + _QUALIFY_S
        self.reach_callrec(within_s=within_s)
        while monotonic() < settled:
            self.reach_callrec(within_s=within_s)

    @contextmanager
    def differently(self, *changes: tuple[str, str]) -> Iterator[None]:
        """For a while, every PJSIP endpoint with these words in place of those."""
        files = [self._outside / "etc" / name for name in ("pjsip.conf", "pjsip_callrec.conf")]
        before = [path.read_text() for path in files]
        self._rewrite(files, [reduce(lambda text, change: text.replace(*change), changes, one) for one in before])
        try:
            yield
        finally:
            self._rewrite(files, before)

    def _rewrite(self, files: Sequence[Path], texts: Sequence[str]) -> None:
        for path, text in zip(files, texts, strict=True):
            path.write_text(text)
        self.cli("module reload res_pjsip.so")

    @contextmanager
    def telling(self) -> Iterator[Callable[[], str]]:
        """For a while it logs every SIP message; what is yielded gives those so far, without carriage returns."""
        before = self.log.stat().st_size
        self.cli("pjsip set logger on")
        yield lambda: self.log.read_bytes()[before:].decode(errors="replace").replace("\r", "")
        self.cli("pjsip set logger off")

    @property
    def recorded(self) -> audio.Samples:
        """What the PBX's own recorder (5009, 6009) wrote."""
        path = self._outside / "spool" / "monitor" / "pbx.wav"
        return audio.read_wav(path) if path.exists() else audio.silence(0)

    def stop(self) -> None:
        """End it, and remove its folder; what it logged stays as `<folder>/messages`."""
        self.process.stop()
        if self.log.exists():
            shutil.copy(self.log, self._keep_log)
        shutil.rmtree(self._outside, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configure(self, files: Mapping[str, str]) -> None:
        modules = next((ROOT / "usr/lib").glob("*/asterisk/modules")).relative_to(ROOT)
        first = ports.free_range(100)
        own = {
            "asterisk.conf": _ASTERISK.format(here=self._inside, modules=f"/{modules}"),
            "rtp.conf": f"[general]\nrtpstart={first}\nrtpend={first + 99}\nicesupport=no\n",
            "musiconhold.conf": f"[default]\nmode=files\ndirectory={self._inside}/sounds/music\n",
        }
        for name, text in {**own, **_COMMON, **files}.items():
            (self._outside / "etc" / name).write_text(text)


class StandIn(Asterisk):
    """An Asterisk that does what callrec does, for tests of the recipe alone: it answers, plays 1200 Hz for two
    seconds, then calls line 600x for 500x at `pbx`. `address` is what to give the PBX as its callrec.
    """

    def __init__(self, folder: Path) -> None:
        self._start(folder, lambda: _stand_in_files(self.port))

    def serve(self, pbx: Asterisk) -> None:
        """Tell it where the PBX is: it came first, for the PBX needs its address."""
        self.cli(f"dialplan set global PBX {pbx.address}")


def pbx_files(port: int, *, callrec: str, staff: str, colleague: str) -> Mapping[str, str]:
    """What differs between one PBX and another, by name: the recipe, the peers, the lines."""
    host = callrec.partition(":")[0]
    recipe = (RECIPE / "pjsip_callrec.conf").read_text()
    return {
        "pjsip_callrec.conf": recipe.replace("sip:127.0.0.1:5080", f"sip:{callrec}").replace(
            "match=127.0.0.1", f"match={host}"
        ),
        "extensions_callrec.conf": (RECIPE / "extensions_callrec.conf").read_text(),
        "queues.conf": _QUEUES,
        "features.conf": _FEATURES,
        "pjsip.conf": _TRANSPORT.format(port=port)
        + _PBX_PEERS.format(staff=staff, colleague=colleague, callers=CALLER_HOST),
        "extensions.conf": _LINES,
    }


def _stand_in_files(port: int) -> Mapping[str, str]:
    return {"pjsip.conf": _TRANSPORT.format(port=port) + _STAND_IN_PEERS, "extensions.conf": _STAND_IN}


_ASTERISK = """\
[directories]
astetcdir => {here}/etc
astmoddir => {modules}
astvarlibdir => {here}/lib
astdbdir => {here}/db
astkeydir => {here}/lib
astdatadir => {here}
astagidir => {here}/lib
astspooldir => {here}/spool
astrundir => {here}/run
astlogdir => {here}/log
[options]
verbose = 3
hideconnect = yes
"""

_COMMON = {
    "modules.conf": "[modules]\nautoload=no\n" + "".join(f"load={name}.so\n" for name in _MODULES),
    "logger.conf": "[general]\ndateformat=%F %T.%3q\n[logfiles]\nmessages => notice,warning,error,verbose(3)\n",
    "cdr.conf": "[general]\nenable=yes\nunanswered=yes\n",
    "cdr_custom.conf": "[mappings]\ncalls.csv => "
    + ",".join(f"${{CSV_QUOTE(${{CDR({field})}})}}" for field in _CDR_FIELDS)
    + "\n",
    "indications.conf": "[general]\ncountry=uk\n[uk]\ndescription=UK\nringcadence=400,200,400,2000\n"
    "dial=350+440\nbusy=400/375,0/375\nring=400+450/400,0/200,400+450/400,0/2000\ncongestion=400/400,0/350\n",
}

_QUEUES = """\
[general]
persistentmembers=no
[advice]
musicclass=default
strategy=ringall
timeout=20
ringinuse=no
member => PJSIP/staff
"""

_FEATURES = """\
[general]
transferdigittimeout=3
featuredigittimeout=1000
[featuremap]
atxfer => *2
"""

_TRANSPORT = """\
[global]
type=global
endpoint_identifier_order=ip,username
[transport]
type=transport
protocol=udp
bind=127.0.0.1:{port}
[phone](!)
type=endpoint
transport=transport
disallow=all
allow=alaw,ulaw
direct_media=no
context=from-carrier
"""

_PBX_PEERS = """\
[carrier](phone)
[carrier]
type=identify
endpoint=carrier
match={callers}
[staff](phone)
aors=staff
identify_by=username
[staff]
type=aor
contact=sip:staff@{staff}
[colleague](phone)
aors=colleague
identify_by=username
[colleague]
type=aor
contact=sip:colleague@{colleague}
#include pjsip_callrec.conf
"""

_LINES = """\
[general]
static=yes
writeprotect=yes
#include extensions_callrec.conf
[from-carrier]
exten => _500[0-8],1,Set(CALLREC_LINE=600${EXTEN:3})
 same => n,Goto(callrec-through,${EXTEN},1)
exten => _501X,1,Set(CALLREC_LINE=601${EXTEN:3})
 same => n,Goto(callrec-through,${EXTEN},1)
exten => 5009,1,MixMonitor(pbx.wav)
 same => n,Set(CALLREC_LINE=6001)
 same => n,Goto(callrec-through,5001,1)
exten => _07X.,1,Goto(callrec-outward,${EXTEN},1)
include => callrec-lines
[callrec-outside]
exten => 07700900222,1,Dial(PJSIP/colleague,30)
[callrec-lines]
exten => 6001,1,Answer()
 same => n,Playtones(1000)
 same => n,Wait(300)
exten => 6002,1,Hangup(17)
exten => 6003,1,Ringing()
 same => n,Wait(300)
exten => 6004,1,Progress()
 same => n,Playtones(1000)
 same => n,Wait(2)
 same => n,Goto(6001,1)
exten => 6005,1,Answer()
 same => n,Echo()
exten => 6006,1,Answer()
 same => n,MusicOnHold()
exten => 6007,1,Answer()
 same => n,Wait(3)
 same => n,Hangup(16)
exten => 6008,1,Dial(Local/5001@from-carrier,60)
exten => 6009,1,MixMonitor(pbx.wav)
 same => n,Goto(6001,1)
exten => 6010,1,Ringing()
 same => n,Wait(2)
 same => n,Goto(6001,1)
exten => 6011,1,Dial(PJSIP/staff,30,t)
exten => 6012,1,Dial(PJSIP/colleague,30)
exten => 6013,1,Answer()
 same => n,Playtones(1000)
 same => n,Wait(1)
 same => n,Transfer(PJSIP/sip:6003@127.0.0.1:9)
 same => n,Set(CDR(userfield)=transfer ${TRANSFERSTATUS} ${TRANSFERSTATUSPROTOCOL})
 same => n,Goto(6001,1)
exten => 6014,1,Progress()
 same => n,Playtones(900)
 same => n,Wait(2)
 same => n,Goto(6001,1)
exten => 6015,1,Set(PJSIP_MOH_PASSTHROUGH()=no)
 same => n,Goto(6011,1)
exten => 6017,1,Answer()
 same => n,Playtones(900)
 same => n,Wait(3)
 same => n,StopPlaytones()
 same => n,Dial(PJSIP/staff,30,U(callrec-joined))
exten => 6018,1,Gosub(callrec-tell,outside_party,1)
 same => n,Dial(PJSIP/colleague,30,g)
 same => n,Gosub(callrec-tell,left,1(&party=outside))
 same => n,Goto(6001,1)
exten => 6019,1,Answer()
 same => n,Queue(advice,,,,60,,callrec-joined)
"""

_STAND_IN_PEERS = """\
[pbx](phone)
trust_id_inbound=yes
aors=pbx
[pbx]
type=aor
[pbx]
type=identify
endpoint=pbx
match=127.0.0.1
"""

_STAND_IN = """\
[from-carrier]
exten => _500X,1,Answer()
 same => n,Set(__ORIGIN=${PJSIP_HEADER(read,X-PBX-Linkedid)})
 same => n,Playtones(1200)
 same => n,Wait(2)
 same => n,StopPlaytones()
 same => n,Dial(PJSIP/pbx/sip:600${EXTEN:3}@${PBX},300,b(headers^s^1))
 same => n,Hangup(${HANGUPCAUSE})
[headers]
exten => s,1,Set(PJSIP_HEADER(add,X-Callrec-Call)=stand-in)
 same => n,Set(PJSIP_HEADER(add,X-PBX-Linkedid)=${ORIGIN})
 same => n,Return()
"""
