"""Independent peers for tests: sipp, baresip and Asterisk, all on loopback, each with its own ports and folder.

Nothing here imports callrec: a witness that shares code with the accused is none.
"""
