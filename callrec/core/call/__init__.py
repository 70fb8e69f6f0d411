"""Everything that may change the state of a call is in this folder.

A call is a frozen value. `advance(call, event)` gives the next value and the commands that the shell performs, or
raises OutOfOrder and nothing has changed. The core does not know SIP, disks or clocks: what it needs to know arrives
in events. Theory of operation:

1. `open_call` answers. When the caller leg is up the notice plays (stage NOTICE), unless an obstacle was known before:
   then the line is dialled at once and the call is carried unrecorded. On an outbound call it is the staff leg that
   called us, and the outside party is dialled: their notice plays in the talk, when they answer or when staff order it.
2. A notice that ended is judged. Granted or refused, or not decided in time: the line is dialled now (stage DIALLING).
   A notice that was interrupted plays again from its first sample while attempts last; one that the caller wants in
   another language begins anew in that (`language_chosen`); one whose tail the caller skips ends early. A line that
   wants the caller's own key is dialled meanwhile: the notice is judged when the key comes, or when the time for it is
   over.
3. A granted verdict is no permission. `RecordProof` asks the ledger; only its durable answer, as a NoticeProof in
   ProofRecorded, does the table of `permission.py` accept.
4. `may_record` in `capture.py` is the one place that decides that capture may start, and `start_when_permitted` beside
   it the one place that orders it. Holds suspend, keys and people stop, and what stopped does not start again.
5. Another outside party ends the segment (`segments.py`): the next one is asked, proven and decided by itself, in the
   talk. One proof starts at most one segment, and what forbade recording forbids it in every later one.
6. A consent is asked for beside a segment that runs (`consent.py`). Only a yes that the ledger holds, as a Consent in
   ConsentRecorded, adds a purpose, and only to the segment that begins with it.
7. Events of threads race. Facts that can legitimately come late stand in the table of their stage; what does not
   stand there is a defect, and raises.

Rooms, each importing only those above it: `state` (the value), `capture` (may it be recorded, what ends it), `dialling`
(towards the line), `notice`, `segments`, `consent`, `orders` (of staff and operators), `keys` (of the caller), `legs`,
`table` (what may happen when).
"""

from callrec.core.call.keys import SAY_NO, asks_for_keys, keys_in_use, words_in_use
from callrec.core.call.notice import language_chosen
from callrec.core.call.orders import staff_keys_in_use
from callrec.core.call.segments import line_changed
from callrec.core.call.state import EMERGENCY, STAFF, Call, CallPlan, Capture, Keys, Notice, StaffCodes, Stage, Step
from callrec.core.call.table import TABLE, advance, open_call

__all__ = [
    "EMERGENCY",
    "SAY_NO",
    "STAFF",
    "TABLE",
    "Call",
    "CallPlan",
    "Capture",
    "Keys",
    "Notice",
    "StaffCodes",
    "Stage",
    "Step",
    "advance",
    "asks_for_keys",
    "keys_in_use",
    "language_chosen",
    "line_changed",
    "open_call",
    "staff_keys_in_use",
    "words_in_use",
]
