"""What a sipp peer does, step by step: each function gives one piece of scenario XML, and a call is a list of them.

A caller:  [invite(), stream(file), talk(4000), bye()]
A callee:  [take(), ring(2000), answer(), stream(file), until_bye()]
Directions are SDP's: `sendonly` and `inactive` hold the other side. Times are milliseconds. In-dialog steps (talk,
reinvite, keys_by_info, bye ...) serve both. A BYE that comes during `talk` is answered and ends the call in good order.
Where a step must not come before the far end has got so far, `until_told` goes before it, and not a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

PCMA, PCMU, G729 = 8, 0, 18
STREAM_PORT = "[rtpstream_audio_port]"
"""Port in SDP of a call whose audio comes from `stream`, or that sends none."""
PCAP_PORT = "[media_port]"
"""Port in SDP of a call whose audio comes from `play`."""
_NAMES = {PCMA: "PCMA", PCMU: "PCMU", G729: "G729"}
_URI = "sip:[service]@[remote_ip]:[remote_port]"
_VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch="
_CONTACT = "Contact: <sip:peer@[local_ip]:[local_port];transport=[transport]>"
_METHODS = "INVITE, ACK, CANCEL, BYE, OPTIONS"
WAITS = "waits to be told"
"""What a script that has come to `until_told` writes into its log."""
_number = count(1)


# ---------------------------------------------------------------- pieces


def sdp(
    *,
    direction: str = "sendrecv",
    codecs: Sequence[int] = (PCMA, PCMU),
    telephone_event: bool = True,
    port: str = STREAM_PORT,
    address: str = "[media_ip]",
) -> str:
    """A session description; `address="0.0.0.0"` is the old way to hold."""
    payloads = [*codecs, 101] if telephone_event else [*codecs]
    lines = ["v=0", "o=peer 1 [cseq] IN IP4 [local_ip]", "s=-", f"c=IN IP4 {address}", "t=0 0"]
    lines += [f"m=audio {port} RTP/AVP {' '.join(map(str, payloads))}"]
    lines += [f"a=rtpmap:{codec} {_NAMES[codec]}/8000" for codec in codecs]
    lines += ["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"] if telephone_event else []
    return "\n".join([*lines, "a=ptime:20", f"a={direction}"])


def send(first: str, headers: Sequence[str], body: str = "", *, kind: str = "application/sdp") -> str:
    """Send one message; a request other than ACK is repeated until it is answered."""
    ends = [f"Content-Type: {kind}", "Content-Length: [len]", "", body] if body else ["Content-Length: 0", "", ""]
    again = "" if first.startswith(("ACK", "SIP/2.0")) else ' retrans="500"'
    return f"<send{again}><![CDATA[\n" + "\n".join([first, *headers, *ends]) + "\n]]></send>\n"


def response(status: int, *, more: str = "", action: str = "") -> str:
    """Wait for this status."""
    return f'<recv response="{status}" {more}>{action}</recv>\n'


def request(method: str, *, more: str = "", action: str = "") -> str:
    """Wait for this request."""
    return f'<recv request="{method}" {more}>{action}</recv>\n'


def _remember(header: str, name: str) -> str:
    return f'<ereg regexp=".*" search_in="hdr" header="{header}" assign_to="{name}"/>'


def _label() -> str:
    return f"l{next(_number)}"


def _before_dialog(method: str, *, steps_since_invite: int = 0, to: str = f"To: <{_URI}>") -> list[str]:
    """Headers of INVITE, and of the CANCEL and ACK that belong to its transaction and so carry its branch."""
    branch = f"[branch-{steps_since_invite}]" if steps_since_invite else "[branch]"
    from_ = "From: [caller];tag=[pid]c[call_number]"
    return [_VIA + branch, "Max-Forwards: 70", from_, to, "Call-ID: [call_id]", f"CSeq: [cseq] {method}"]


def _in_dialog(method: str) -> list[str]:
    ends = ["From: [$local]", "To: [$remote]", "Call-ID: [call_id]", f"CSeq: [cseq] {method}"]
    return [f"{_VIA}[branch]", "[routes]", "Max-Forwards: 70", *ends, _CONTACT]


# ---------------------------------------------------------------- a caller begins


def invite(
    *,
    offer: str | None = None,
    late_offer: bool = False,
    info: bool = True,
    headers: Sequence[str] = (),
    refused_with: int | None = None,
) -> str:
    """Call, take what comes while it rings, acknowledge the 200.

    `offer` is an `sdp(...)`. With `late_offer` it goes with the ACK, as the answer. `info=False` leaves INFO out of
    Allow. `headers` are whole lines. `refused_with=486` expects that status instead of 200, and then there is no call.
    """
    body = offer or sdp()
    allow = "Allow: " + _METHODS + (", INFO" if info else "")
    start = [*_before_dialog("INVITE"), _CONTACT, allow, *headers]
    early = "".join(response(status, more='optional="true"') for status in (100, 180, 181, 182, 183))
    begin = send(f"INVITE {_URI} SIP/2.0", start, "" if late_offer else body) + early
    if refused_with:
        ack = _before_dialog("ACK", steps_since_invite=7, to="[last_To:]")
        return begin + response(refused_with) + send(f"ACK {_URI} SIP/2.0", ack)
    know = f"<action>{_remember('From:', 'local')}{_remember('To:', 'remote')}</action>"
    ack = send("ACK [next_url] SIP/2.0", _in_dialog("ACK"), body if late_offer else "")
    return begin + response(200, more='rrs="true"', action=know) + ack


def invite_then_cancel(after_ms: int) -> str:
    """Call, and give up this long after it began to ring: 200 for the CANCEL, 487 for the INVITE."""
    maybe = 'optional="true"'
    return (
        send(f"INVITE {_URI} SIP/2.0", [*_before_dialog("INVITE"), _CONTACT], sdp())
        + response(100, more=maybe)
        + response(183, more=maybe)
        + response(180)
        + pause(after_ms)
        + send(f"CANCEL {_URI} SIP/2.0", _before_dialog("CANCEL", steps_since_invite=5))
        + response(200)
        + response(487)
        + send(f"ACK {_URI} SIP/2.0", _before_dialog("ACK", steps_since_invite=8, to="[last_To:]"))
    )


# ---------------------------------------------------------------- a callee begins


def _reply(status: str, body: str = "", *, cseq: str = "[last_CSeq:]") -> str:
    to = "[last_To:];tag=[pid]a[call_number]"
    headers = ["[last_Via:]", "[last_Record-Route:]", "[last_From:]", to, "[last_Call-ID:]", _CONTACT, cseq]
    return send(f"SIP/2.0 {status}", headers, body)


_COUNT = (
    '<nop><action><add assign_to="taken" value="1"/>'
    '<test assign_to="was_last" variable="taken" compare="greater_than_equal" value="[calls]"/></action></nop>\n'
    '<nop condexec="was_last"><action><exec int_cmd="stop_gracefully"/></action></nop>\n'
)
"""Its own limit (-m) takes an OPTIONS for a call, and a callee of one call then never hears the INVITE."""


def take() -> str:
    """Take an INVITE; nothing is answered yet. OPTIONS, by which a PBX asks whether somebody is there, is no call."""
    know = _remember("From:", "remote") + _remember("To:", "to") + _remember("CSeq:", "cseq") + _remember("Via:", "via")
    local = '<assignstr assign_to="local" value="[$to];tag=[pid]a[call_number]"/>'
    invite = request("INVITE", more='rrs="true"', action=f"<action>{know}{local}</action>")
    return request("OPTIONS", more='optional="true" next="asked"') + invite + _COUNT


def _unless_cancelled(wait_ms: int) -> str:
    on = _label()
    wait = request("CANCEL", more=f'timeout="{wait_ms}" ontimeout="{on}" next="cancelled"')
    return wait + f'<label id="{on}"/>\n'


def ring(wait_ms: int) -> str:
    """180, then wait; a CANCEL meanwhile is answered and ends the call in good order."""
    return _reply("180 Ringing") + _unless_cancelled(wait_ms)


def early_media(file: Path, wait_ms: int) -> str:
    """183 with this sound, for this long."""
    return _reply("183 Session Progress", sdp()) + stream(file) + _unless_cancelled(wait_ms)


def never_answer() -> str:
    """180, then nothing until the CANCEL, which must come."""
    return _reply("180 Ringing") + request("CANCEL", more='next="cancelled"')


def refuse(status: str = "486 Busy Here") -> str:
    """A final refusal."""
    return _reply(status) + request("ACK")


def answer(*, offer: str | None = None) -> str:
    """200, and its ACK."""
    return _reply("200 OK", offer or sdp()) + request("ACK")


# ---------------------------------------------------------------- in a call


def pause(wait_ms: int) -> str:
    """Do nothing for so long; a BYE now would be unexpected, so prefer `talk` in a call."""
    return f'<pause milliseconds="{wait_ms}"/>\n'


def _exec(what: str) -> str:
    return f"<nop><action><exec {what}/></action></nop>\n"


def stream(file: Path, *, loops: int = -1) -> str:
    """Send this raw A-law file as RTP from now on, over and over (-1), while later steps run."""
    return _exec(f'rtp_stream="{file},{loops},8,PCMA/8000"')


def stop_stream() -> str:
    """Send no more RTP until `resume_stream`."""
    return _exec('rtp_stream="pause"')


def resume_stream() -> str:
    """Send again."""
    return _exec('rtp_stream="resume"')


def play(pcap: Path) -> str:
    """Send the RTP of a pcap file (peers.pcap makes them) from now on. Needs root, and `port=PCAP_PORT` in the SDP."""
    return _exec(f'play_pcap_audio="{pcap}"')


def talk(wait_ms: int) -> str:
    """Stay in the call for so long; the far end's BYE ends the call. A re-INVITE is answered; the time starts again."""
    here, on, again = _label(), _label(), _label()
    time = f'timeout="{wait_ms}" ontimeout="{on}"'
    same_call = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", _CONTACT, "[last_CSeq:]"]
    return (
        f'<label id="{here}"/>\n'
        + request("INVITE", more=f'optional="true" next="{again}" {time}')
        + request("BYE", more=f'{time} next="hung_up"')
        + f'<label id="{again}"/>\n'
        + send("SIP/2.0 200 OK", same_call, sdp())
        + f'<recv request="ACK" next="{here}"/>\n'
        + f'<label id="{on}"/>\n'
    )


def until_told() -> str:
    """Stay in the call until `Sipp.go_on`: what the test knows and no script does has come to pass. A re-INVITE is
    answered meanwhile, and the far end's BYE ends the call.
    """
    here, on, again = _label(), _label(), _label()
    same_call = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", _CONTACT, "[last_CSeq:]"]
    return (
        f'<nop><action><log message="{WAITS}"/></action></nop>\n<label id="{here}"/>\n'
        + request("INVITE", more=f'optional="true" next="{again}"')
        + request("BYE", more='optional="true" next="hung_up"')
        + request("MESSAGE", more=f'next="{on}"')
        + f'<label id="{again}"/>\n'
        + send("SIP/2.0 200 OK", same_call, sdp())
        + f'<recv request="ACK" next="{here}"/>\n'
        + f'<label id="{on}"/>\n'
    )


def until_bye(within_ms: int = 60_000) -> str:
    """Stay until the far end hangs up, which must happen within this time: sipp fails otherwise."""
    return talk(within_ms) + request("BYE", more='timeout="1" next="hung_up"')


def reinvite(
    direction: str = "sendrecv", *, offer: str | None = None, answered: str = "", headers: Sequence[str] = ()
) -> str:
    """Offer a new description: hold, resume, other codecs. `answered` is a regular expression the answer must match."""
    check = f'<ereg regexp="{answered}" search_in="body" check_it="true" assign_to="answer"/>' if answered else ""
    return (
        send("INVITE [next_url] SIP/2.0", [*_in_dialog("INVITE"), *headers], offer or sdp(direction=direction))
        + response(100, more='optional="true"')
        + response(200, action=f"<action>{check}</action>" if check else "")
        + send("ACK [next_url] SIP/2.0", _in_dialog("ACK"))
    )


def take_refresh(within_ms: int, *headers: str) -> str:
    """Wait for a re-INVITE, and answer it as before, with these header lines."""
    same_call = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", _CONTACT, "[last_CSeq:]"]
    return (
        request("INVITE", more=f'timeout="{within_ms}"')
        + send("SIP/2.0 200 OK", [*same_call, *headers], sdp(codecs=[PCMA]))
        + request("ACK")
    )


def take_offer(
    offered: str, *, answered: str = "", refused_with: str = "", before: str = "", within_ms: int = 20_000
) -> str:
    """Wait for a re-INVITE whose description matches this regular expression, and answer or refuse it, after the steps
    `before`.
    """
    check = f'<action><ereg regexp="{offered}" search_in="body" check_it="true" assign_to="offer"/></action>'
    same_call = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", _CONTACT, "[last_CSeq:]"]
    status = f"SIP/2.0 {refused_with or '200 OK'}"
    asked = request("INVITE", more=f'timeout="{within_ms}"', action=check)
    return asked + before + send(status, same_call, answered) + request("ACK")


def reinvite_without_offer(answer_with: str) -> str:
    """A re-INVITE without a description: the other side offers in its 200, the ACK carries this answer."""
    return (
        send("INVITE [next_url] SIP/2.0", _in_dialog("INVITE"))
        + response(100, more='optional="true"')
        + response(200)
        + send("ACK [next_url] SIP/2.0", _in_dialog("ACK"), answer_with)
    )


def reinvite_refused(offer: str, status: int) -> str:
    """Offer a description that is not acceptable; the call goes on as it was."""
    return (
        send("INVITE [next_url] SIP/2.0", _in_dialog("INVITE"), offer)
        + response(100, more='optional="true"')
        + response(status)
        + send("ACK [next_url] SIP/2.0", [*_same_transaction(4), "CSeq: [cseq] ACK"])
    )


def _same_transaction(steps_since: int) -> list[str]:
    """Headers of the ACK for a refused re-INVITE, which carries that one's branch (RFC 3261 section 17.1.1.3)."""
    ends = ["From: [$local]", "To: [$remote]", "Call-ID: [call_id]"]
    return [f"{_VIA}[branch-{steps_since}]", "[routes]", "Max-Forwards: 70", *ends]


def update(*headers: str, offer: str = "") -> str:
    """UPDATE (RFC 3311), with these header lines and, where given, a new description."""
    return send("UPDATE [next_url] SIP/2.0", [*_in_dialog("UPDATE"), *headers], offer) + response(200)


def refer(to: str, *, refused_with: int) -> str:
    """Ask the other side to call somebody else (RFC 3515), which it must refuse."""
    headers = [*_in_dialog("REFER"), f"Refer-To: <{to}>"]
    return send("REFER [next_url] SIP/2.0", headers) + response(refused_with)


def ring_reliably() -> str:
    """183 that must be acknowledged by PRACK (RFC 3262), and the answer to that."""
    to = "[last_To:];tag=[pid]a[call_number]"
    headers = ["[last_Via:]", "[last_From:]", to, "[last_Call-ID:]", _CONTACT, "[last_CSeq:]"]
    reliable = ["Require: 100rel", "RSeq: 11"]
    prack = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
    return (
        send("SIP/2.0 183 Session Progress", [*headers, *reliable]) + request("PRACK") + send("SIP/2.0 200 OK", prack)
    )


def answer_later() -> str:
    """200 to the INVITE after other requests came in between, and its ACK."""
    invite = ["Via: [$via]", "From: [$remote]", "To: [$local]", "Call-ID: [call_id]", "CSeq: [$cseq]", _CONTACT]
    return send("SIP/2.0 200 OK", invite, sdp(codecs=[PCMA])) + request("ACK")


def redirect(to: str) -> str:
    """302: try there instead."""
    contact = f"Contact: <{to}>"
    headers = ["[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]a[call_number]", "[last_Call-ID:]", contact]
    return send("SIP/2.0 302 Moved Temporarily", [*headers, "[last_CSeq:]"]) + request("ACK")


def keys_by_info(keys: str) -> str:
    """Press these keys, each as one INFO (application/dtmf-relay) whose answer may be any."""
    maybe = "".join(response(status, more='optional="true"') for status in (415, 405, 501, 488, 481))
    headers = _in_dialog("INFO")
    body = "Signal={}\nDuration=160\n"
    kind = "application/dtmf-relay"
    return "".join(
        send("INFO [next_url] SIP/2.0", headers, body.format(key), kind=kind) + maybe + response(200) for key in keys
    )


def bye(*headers: str) -> str:
    """Hang up, with these header lines too, and wait for the answer."""
    return send("BYE [next_url] SIP/2.0", [*_in_dialog("BYE"), *headers]) + response(200)


def scenario(steps: Sequence[str], *, calls: int) -> str:
    """The whole XML document: these steps, then the ends that they may jump to. A callee takes so many calls."""
    body = "".join(steps).replace("[calls]", str(calls))
    same_call = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
    hung_up = send("SIP/2.0 200 OK", same_call)
    first = ["[last_Via:]", "[last_From:]", "To: [$local]", "[last_Call-ID:]", "CSeq: [$cseq]"]
    cancelled = hung_up + send("SIP/2.0 487 Request Terminated", first) + request("ACK")
    asked = send("SIP/2.0 200 OK", ["[last_Via:]", "[last_From:]", "[last_To:];tag=asked", *same_call[3:]])
    for name, end in (("hung_up", hung_up), ("cancelled", cancelled), ("asked", asked)):
        if f'next="{name}"' in body:
            body += f'<nop next="end"/>\n<label id="{name}"/>\n{end}'
    known = ",".join(sorted(set(re.findall(r'assign_to="(\w+)"', body))))
    used = f'<Reference variables="{known}"/>\n' if known else ""
    head = '<?xml version="1.0"?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n<scenario name="peer">\n'
    head += '<Global variables="taken"/>\n' if "taken" in known else ""
    return f'{head}{body}<label id="end"/>\n<nop/>\n{used}</scenario>\n'
