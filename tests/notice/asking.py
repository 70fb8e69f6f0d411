"""The words of a prompt that asks for consent to training, and which of them explain what (R20)."""

from __future__ import annotations

SPEAKS = {
    "purpose": "for teaching our staff",
    "use": "Only trainers here would hear it",
    "period": "for twelve months",
    "storage": "store it securely",
    "refuse": "You can say no",
    "withdraw": "change your mind, now or later",
    "same_care": "Your care will not change",
}
QUESTION = (
    "We keep a record of our advice. May we keep it, as it is, for teaching our staff? "
    "Only trainers here would hear it. We would store it securely for twelve months. "
    "You can say no, or change your mind, now or later. "
    "Your care will not change. Press 1 for yes, 2 for no."
)
