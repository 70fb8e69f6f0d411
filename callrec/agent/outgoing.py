"""What goes along with a call to its destination: what the PBX sent and may send on, and our own headers."""

from __future__ import annotations

from callrec.agent.next_hop import of_target
from callrec.config import Config, Line, Target
from callrec.core.call import Call
from callrec.core.reasons import Reason
from callrec.core.values import CallDirection
from callrec.ports import Destination, Invite

OURS = "x-callrec-"
"""Names of headers that begin so are ours alone: whoever sends one is not passed on."""


def destination(call: Call | None, line: Line, target: int, *, invite: Invite, config: Config) -> Destination:
    """Destination number `target` of the line, told whether this call is recorded once its notice is proven: the PBX
    by a header, whoever looks at a telephone by the caller's name (R53). Whoever is called outside is told nothing.
    """
    if line.direction is CallDirection.OUTBOUND:
        return _outside(line, line.targets[target], invite=invite, config=config)
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


def _outside(line: Line, target: Target, *, invite: Invite, config: Config) -> Destination:
    """To whom this call is for. Only a PBX of ours gets our headers, so that it can put both its calls together."""
    ours = (
        ("X-Callrec-Call", invite.call_uid),
        *((name, value) for name, value in invite.headers.items() if _goes_on(name, config.sip.trusted_headers)),
    )
    return Destination(
        uri=target.uri_for(line.outside_number(invite.dialled)),
        timeout_s=line.dial_timeout_s,
        headers=ours if of_target(config, target).ends_at == "pbx" else (),
    )


def _goes_on(name: str, trusted: tuple[str, ...]) -> bool:
    return name.lower() in {each.lower() for each in trusted} and not name.lower().startswith(OURS)
