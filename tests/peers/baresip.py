"""baresip as an independent ear: a phone without a sound card that says a WAV and keeps what it heard as another.

    with Ear(tmp_path / "caller", say=audio.tone(600, 60)) as caller:
        caller.dial("sip:5000@127.0.0.1:5080")
        caller.established(within_s=5)
        caller.press("2")
        caller.hang_up()
    assert audio.find(caller.heard, notice).share >= 0.99

`with Ear(..., auto_answer=True) as staff:` takes calls at `staff.uri`; `staff.established(within_s=5)` tells of one,
`staff.pressed` of keys that came in. Without `auto_answer`: `staff.rang(within_s=5)`, then `staff.answer()`.
After a re-INVITE (hold, resume) it hears nothing more: this baresip then writes no more; peers.rtp hears on.
What was heard is complete after `hang_up`, `closed` or the end of the `with`.
"""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from tests.peers import audio, ports
from tests.peers.audio import Samples
from tests.peers.certificates import Identity
from tests.peers.ports import LOOPBACK, PeerFailed, Process

T = TypeVar("T")

_MODULES = Path("/usr/lib/baresip/modules")
_CONFIG = """\
poll_method             epoll
sip_listen              {here}
{tls}
call_local_timeout      120
call_max_calls          4
audio_path              /usr/share/baresip
audio_source            aufile,{said}
audio_player            aubridge,sink
audio_alert             aubridge,sink
ausrc_srate             8000
auplay_srate            8000
ausrc_channels          1
auplay_channels         1
rtp_ports               {rtp}-{rtp_end}
rtp_stats               yes
rtp_timeout             60
jitter_buffer_delay     0-10
net_interface           {host}
module_path             {modules}
module                  g711.so
{srtp}
module                  sndfile.so
module                  aufile.so
module                  aubridge.so
module_tmp              uuid.so
module_tmp              account.so
module_app              menu.so
module_app              ctrl_tcp.so
ctrl_tcp_listen         {control}
snd_path                {sounds}
"""
# jitter_buffer_delay 0-10: the default 5-10 swallows the first 100 ms of what was sent


class Ear:
    """One phone with its own folder and ports. `user` is that of its From, `host` any address of 127.0.0.0/8, `port`
    one of `ports.free_port` where it must be known beforehand. With `srtp` it takes part in encrypted calls alone. With
    `tls`, its own certificate, and `ca`, whom it believes, it may dial `sip:...;transport=tls`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        say: Samples | Path,
        user: str = "caller",
        auto_answer: bool = False,
        codecs: str = "PCMA/8000,PCMU/8000",
        srtp: bool = False,
        tls: Identity | None = None,
        ca: Path | None = None,
        host: str = LOOPBACK,
        port: int | None = None,
    ) -> None:
        self.folder = folder
        self._sounds = folder / "snd"
        self._sounds.mkdir(parents=True)
        self.port = port or ports.free_range(2)  # the second one for TLS
        self.address = f"{host}:{self.port}"
        self.uri = f"sip:{user}@{self.address}"
        self._control_port = ports.free_port()
        self._events: list[dict[str, object]] = []
        self._unread = b""
        said = say if isinstance(say, Path) else audio.write_wav(folder / "say.wav", say)
        rtp = ports.free_range(16)
        (folder / "config").write_text(
            _CONFIG.format(
                here=self.address,
                tls=f"sip_certificate {tls.both}\nsip_cafile {ca}" if tls else "",
                host=host,
                said=said,
                rtp=rtp,
                rtp_end=rtp + 15,
                modules=_MODULES,
                srtp="module srtp.so" if srtp else "",
                control=f"{LOOPBACK}:{self._control_port}",
                sounds=self._sounds,
            )
        )
        mode = "auto" if auto_answer else "manual"
        media = ";mediaenc=srtp-mand" if srtp else ""
        (folder / "accounts").write_text(f"<{self.uri}>;regint=0;audio_codecs={codecs};answermode={mode}{media}\n")
        (folder / "contacts").write_text("")
        self.process = Process(["baresip", "-f", folder, "-t", "300"], folder=folder, name="baresip")
        ports.wait_udp(self.port, self.process)
        self._control = ports.until(self._connect, seconds=10, what="baresip's control port opens")

    def _connect(self) -> socket.socket | None:
        try:
            return socket.create_connection((LOOPBACK, self._control_port), timeout=5)
        except OSError:
            return None

    # ------------------------------------------------------------ acting

    def command(self, name: str, parameters: str = "") -> None:
        """Give one of baresip's own commands and wait until it says that it took it."""
        token = str(len(self._events)) + name
        order = json.dumps({"command": name, "params": parameters, "token": token}).encode()
        self._control.sendall(b"%d:%s," % (len(order), order))
        self._wait(lambda one: one.get("token") == token, 5, f"answer to {name}")

    def dial(self, uri: str) -> None:
        """Start a call; what comes of it is awaited by `established` or `closed`."""
        self.command("dial", uri)

    def press(self, keys: str) -> None:
        """Press these keys (RFC 4733 where the other side offered it, else nothing is sent)."""
        for key in keys:
            self.command("sndcode", key)

    def press_until(self, keys: str, come: Callable[[], T | None], *, what: str | Callable[[], str]) -> T:
        """Press these keys until this has come of them: a key that a busy machine sent in pieces is lost. PeerFailed
        where they were pressed three times in vain.
        """
        for _ in range(2):
            self.press(keys)
            with suppress(PeerFailed):
                return ports.until(come, seconds=25, what=what)
        self.press(keys)
        return ports.until(come, seconds=25, what=what)

    def answer(self) -> None:
        """Take the call that rings."""
        self.command("accept")

    def hold(self) -> None:
        self.command("hold")

    def resume(self) -> None:
        self.command("resume")

    def transfer(self, uri: str) -> None:
        """Ask the far end to call this in its stead (REFER, RFC 3515)."""
        self.command("transfer", uri)

    def hang_up(self) -> None:
        """End the call and wait until it is over and what was heard is complete."""
        self.command("hangup")
        self.closed(within_s=5)

    # ------------------------------------------------------------ waiting

    def rang(self, *, within_s: float) -> None:
        """Wait for an incoming call that nobody answered yet."""
        self._event("CALL_INCOMING", within_s)

    def established(self, *, within_s: float) -> str:
        """Wait until the call is answered; what this telephone shows of who is there, before the number."""
        return str(self._event("CALL_ESTABLISHED", within_s).get("peerdisplayname", ""))

    def transfer_failed(self, *, within_s: float) -> None:
        """Wait until the far end says that the transfer came to nothing; the call goes on."""
        self._event("TRANSFER_FAILED", within_s)

    def closed(self, *, within_s: float) -> str:
        """Wait until the call is over; returns why, as baresip puts it ("486 Busy Here")."""
        return str(self._event("CALL_CLOSED", within_s).get("param", ""))

    def heard_so_far(self, seconds: float, *, within_s: float) -> None:
        """Wait until this much sound, of all calls together, has come in: a clock that counts what matters."""
        ports.until(
            lambda: sum(path.stat().st_size for path in self._files("dec")) / 2 / audio.RATE >= seconds,
            seconds=within_s,
            what=f"{seconds:g} s of sound come in at {self.uri}",
        )

    def _event(self, kind: str, seconds: float) -> dict[str, object]:
        return self._wait(lambda one: one.get("type") == kind, seconds, kind)

    def _wait(self, wanted, seconds: float, what: str) -> dict[str, object]:
        def come() -> dict[str, object] | None:
            self._read()
            return next((one for one in self._events if wanted(one)), None)

        try:
            found = ports.until(come, seconds=seconds, what=f"{what} from {self.uri}")
        except PeerFailed as late:
            raise PeerFailed(f"{late}; not waited for: {self.story}\n{self.process.output[-1000:]}") from None
        self._events.remove(found)
        return found

    @property
    def pressed(self) -> str:
        """Keys that came in so far."""
        self._read()
        return "".join(str(one.get("param", "")) for one in self._events if one.get("type") == "CALL_DTMF_START")

    @property
    def story(self) -> list[str]:
        """Events not yet waited for."""
        return [str(one.get("type")) for one in self._events if one.get("event")]

    def _read(self) -> None:
        try:
            self._control.settimeout(0.02)
            self._unread += self._control.recv(65536)
        except OSError:  # nothing more for now, or it has ended
            return
        while head := re.match(rb"(\d+):", self._unread):
            end = head.end() + int(head[1])
            if len(self._unread) <= end:
                return
            self._events.append(json.loads(self._unread[head.end() : end]))
            self._unread = self._unread[end + 1 :]

    # ------------------------------------------------------------ hearing

    def _files(self, kind: str) -> Sequence[Path]:
        return sorted(self._sounds.glob(f"*-{kind}.wav"), key=lambda path: path.stat().st_mtime)

    @property
    def heard_files(self) -> Sequence[Path]:
        """WAVs of what was heard, oldest first; usually one."""
        return self._files("dec")

    @property
    def heard(self) -> Samples:
        """All that was heard, from the first packet of sound that came in, one call after the other."""
        return np.concatenate([np.zeros(0, np.int16), *map(audio.read_wav, self.heard_files)])

    @property
    def said(self) -> Samples:
        """All that was said."""
        return np.concatenate([np.zeros(0, np.int16), *map(audio.read_wav, self._files("enc"))])

    # ------------------------------------------------------------ ending

    def kill(self) -> None:
        """Vanish without a word, as a phone whose battery ends."""
        self.process.signal(signal.SIGKILL)

    def stop(self) -> None:
        """Hang up whatever runs and end."""
        self._read()
        self._control.close()
        self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
