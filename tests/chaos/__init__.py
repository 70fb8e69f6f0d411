"""Killing the agent at random: what it had acknowledged must be there in the end, whole, and once.

    python -m tests.chaos [--rounds 500] [--seed N] [--store filesystem | s3] [--folder DIR]

Each round a real process (`recorder.py`: all of the agent but telephony, wired by the configuration) records, seals and
hands over, and is killed with SIGKILL: while it starts, while it works, or just after it acknowledged. In every fourth
round the store is cut off. What was acknowledged is noted outside the process. After each hundred rounds the house is
brought to rest and judged by `judge.py`; its ledger, store and spool by the auditor's own checks as well.
"""
