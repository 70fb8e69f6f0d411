"""The evaluation engine, which `make demo` installs: what it is, what it carries, and that a first call works.

Run by `make test-evaluation` in an environment of its own; `make test` ends with it.
"""
