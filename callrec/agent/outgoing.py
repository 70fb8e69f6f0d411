"""What goes along with a call to its destination: what the PBX sent and may send on, and our own headers."""

from __future__ import annotations

from callrec.config import Config, Line
from callrec.core.call import Call
from callrec.core.reasons import Reason
from callrec.ports import Destination, Invite

OURS = "x-callrec-"
"""Names of headers that begin so are ours alone: whoever sends one is not passed on."""


def destination(call: Call | None, line: Line, target: int, *, invite: Invite, config: Config) -> Destination:
    """Destination number `target` of the line, told whether this call is recorded once its notice is proven: the PBX
    by a header, whoever looks at a telephone by the caller's name (R53).
    """
    reason = call.reason if call else None
    if call is not None and reason is None and target in call.plan.uninformed:
        reason = Reason.STAFF_NOT_INFORMED
    mark = line.staff_display.if_proven if call is not None and reason is None else line.staff_display.otherwise
    headers = (
        ("X-Callrec-Call", invite.call_uid),
        ("X-Callrec-Recording", "if-proven" if call is not None and reason is None else "no"),
        *((("X-Callrec-Reason", reason.value),) if reason else ()),
        *((name, value) for name, value in invite.headers.items() if _goes_on(name, config.sip.trusted_headers)),
    )
    return Destination(
        uri=line.targets[target].uri,
        timeout_s=line.dial_timeout_s,
        headers=headers,
        from_prefix=f"{mark} " if mark else "",
    )


def _goes_on(name: str, trusted: tuple[str, ...]) -> bool:
    return name.lower() in {each.lower() for each in trusted} and not name.lower().startswith(OURS)
