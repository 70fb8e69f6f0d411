"""Measurements: the same job through callrec and through Asterisk, judged by what each side heard and what was kept.

make bench      every row, written to build/bench.json and build/bench.md
make soak       one long run with holds and hang-ups at random
"""
