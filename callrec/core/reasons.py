"""Why a segment was not recorded, or a recording stopped: a closed list, each in one class.

Reasons go into an append-only ledger: a name here is never renamed and never re-used.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final


@unique
class ReasonClass(Enum):
    """Whose doing it was. Boards see OUR_FAULT alone."""

    CALLERS_CHOICE = "caller's choice"
    CALLER_LEFT = "caller left"
    NOT_ANSWERED = "not answered"
    EMERGENCY = "emergency"
    OUR_FAULT = "our fault"
    BYPASSED = "bypassed"


@unique
class Reason(Enum):
    """The closed list."""

    # the caller's choice
    CALLER_DECLINED = "CALLER_DECLINED"
    CALLER_STOPPED = "CALLER_STOPPED"
    CALLER_WITHDREW = "CALLER_WITHDREW"
    # the caller left
    CALLER_HUNG_UP = "CALLER_HUNG_UP"
    # nobody answered
    NOT_ANSWERED = "NOT_ANSWERED"
    ENDED_BEFORE_CAPTURE = "ENDED_BEFORE_CAPTURE"
    # emergency
    EMERGENCY_BYPASS = "EMERGENCY_BYPASS"
    # carried unrecorded on purpose, or never carried
    LINE_NOT_RECORDED = "LINE_NOT_RECORDED"
    AT_CAPACITY = "AT_CAPACITY"
    NO_LINE = "NO_LINE"
    NO_COMMON_CODEC = "NO_COMMON_CODEC"
    REQUEST_REFUSED = "REQUEST_REFUSED"
    DRAINING = "DRAINING"
    NOTICE_NOT_ORDERED = "NOTICE_NOT_ORDERED"
    STAFF_STOPPED = "STAFF_STOPPED"
    OPERATOR_STOPPED = "OPERATOR_STOPPED"
    NO_PURPOSE = "NO_PURPOSE"
    STAFF_NOT_INFORMED = "STAFF_NOT_INFORMED"
    SUBJECT_PROTECTED = "SUBJECT_PROTECTED"
    MAX_LENGTH = "MAX_LENGTH"
    # our fault: the notice could not be proven, or what it needs failed
    NOTICE_MISSING = "NOTICE_MISSING"
    NOTICE_UNAPPROVED = "NOTICE_UNAPPROVED"
    NOTICE_INTERRUPTED = "NOTICE_INTERRUPTED"
    NOTICE_NOT_SENT = "NOTICE_NOT_SENT"
    NOTICE_ALTERED = "NOTICE_ALTERED"
    NOTICE_UNDECIDED = "NOTICE_UNDECIDED"
    EARLY_MEDIA_ONLY = "EARLY_MEDIA_ONLY"
    UNHEARD_SUSPECT = "UNHEARD_SUSPECT"
    MEDIA_FOREIGN = "MEDIA_FOREIGN"
    CHOICE_UNAVAILABLE = "CHOICE_UNAVAILABLE"
    GRADE_TOO_LOW = "GRADE_TOO_LOW"
    PROOF_CONTRADICTED = "PROOF_CONTRADICTED"
    WRONG_LEG = "WRONG_LEG"
    WRONG_LANGUAGE = "WRONG_LANGUAGE"
    PARTY_WITHOUT_NOTICE = "PARTY_WITHOUT_NOTICE"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    CAPTURE_FAILED = "CAPTURE_FAILED"
    MEMORY_UNSAFE = "MEMORY_UNSAFE"
    AGENT_FAILED = "AGENT_FAILED"
    CONFIG_ERROR = "CONFIG_ERROR"


_CLASSES: Final[dict[ReasonClass, tuple[Reason, ...]]] = {
    ReasonClass.CALLERS_CHOICE: (Reason.CALLER_DECLINED, Reason.CALLER_STOPPED, Reason.CALLER_WITHDREW),
    ReasonClass.CALLER_LEFT: (Reason.CALLER_HUNG_UP,),
    ReasonClass.NOT_ANSWERED: (Reason.NOT_ANSWERED, Reason.ENDED_BEFORE_CAPTURE),
    ReasonClass.EMERGENCY: (Reason.EMERGENCY_BYPASS,),
    ReasonClass.BYPASSED: (
        Reason.LINE_NOT_RECORDED,
        Reason.AT_CAPACITY,
        Reason.NO_LINE,
        Reason.NO_COMMON_CODEC,
        Reason.REQUEST_REFUSED,
        Reason.DRAINING,
        Reason.NOTICE_NOT_ORDERED,
        Reason.STAFF_STOPPED,
        Reason.OPERATOR_STOPPED,
        Reason.NO_PURPOSE,
        Reason.STAFF_NOT_INFORMED,
        Reason.SUBJECT_PROTECTED,
        Reason.MAX_LENGTH,
    ),
}

REASON_CLASS: Final[dict[Reason, ReasonClass]] = {
    **dict.fromkeys(Reason, ReasonClass.OUR_FAULT),
    **{reason: group for group, members in _CLASSES.items() for reason in members},
}
"""Every reason's one class. What is in no other class is our fault: doubt is never blamed on the caller."""
