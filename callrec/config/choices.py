"""What a key may be, where it is one of a few words."""

from __future__ import annotations

from enum import Enum, unique


@unique
class Record(Enum):
    """Whether a line's calls may be recorded. There is no `always`: only a proven notice starts a recording (R41)."""

    IF_PROVEN = "if_proven"
    NEVER = "never"


@unique
class CaptureFrom(Enum):
    """When a bridged call's talk begins."""

    ANSWER = "answer"
    STAFF_JOINED = "staff_joined"


@unique
class OnNoNotice(Enum):
    """What becomes of a call whose notice was not proven."""

    CONNECT = "connect"
    REJECT = "reject"


@unique
class PbxEvents(Enum):
    """Who tells callrec what only the PBX sees: who joined, left, was held or transferred behind it."""

    NONE = "none"
    HTTP = "http"


@unique
class NotInformed(Enum):
    """What becomes of a recording where staff did not acknowledge the policy (R53)."""

    WARN = "warn"
    REFUSE = "refuse"
