"""What our requests and answers carry, as the library wants it."""

from __future__ import annotations

import pjsua2 as pj

from callrec.ports import Destination, Invite
from callrec.sip.message import NameAddr
from callrec.sip.translate import from_value, identity_headers, reason_value, safe_headers

_FIRST_FAILURE = 300


def _audio_only(status: int = 0) -> pj.CallOpParam:
    made = pj.CallOpParam(True)  # noqa: FBT003 - the library's own signature: default settings
    made.statusCode = status
    made.opt.audioCount = 1
    made.opt.videoCount = 0
    if hasattr(made.opt, "textCount"):  # later builds would offer a text stream
        made.opt.textCount = 0
    return made


def _add(made: pj.CallOpParam, pairs: tuple[tuple[str, str], ...]) -> None:
    headers = made.txOption.headers
    for name, value in safe_headers(pairs):
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        headers.append(header)


def accepting() -> pj.CallOpParam:
    """200."""
    return _audio_only(200)


def plain() -> pj.CallOpParam:
    """A request with nothing of ours in it."""
    return pj.CallOpParam()


def sending_again() -> pj.CallOpParam:
    """A re-INVITE that ends our own hold."""
    made = _audio_only()
    made.opt.flag |= pj.PJSUA_CALL_UNHOLD
    return made


def rejecting(status: int, phrase: str, retry_after_s: int | None = None) -> pj.CallOpParam:
    """A final status of refusal."""
    made = pj.CallOpParam()
    made.statusCode = status
    made.reason = phrase
    if retry_after_s is not None:
        _add(made, (("Retry-After", str(retry_after_s)),))
    return made


def ending(status: int, cause: str) -> pj.CallOpParam:
    """BYE, CANCEL or a final status, as the dialog's state asks, with Reason (RFC 3326)."""
    made = pj.CallOpParam()
    made.statusCode = status
    _add(made, (("Reason", reason_value(cause)),))
    return made


def dialling(invite: Invite, destination: Destination, *, with_from: bool = True) -> pj.CallOpParam:
    """INVITE to the advice line: the caller's identity goes along, and the headers that were ordered."""
    made = _audio_only()
    if with_from:
        caller = NameAddr(display=invite.from_display, uri=invite.from_uri, tag="")
        made.txOption.localUri = from_value(caller, destination.from_prefix)
    _add(made, identity_headers(invite) + destination.headers)
    return made
