"""callrec: no recording without proof; the call goes through."""

from importlib.metadata import version

__version__ = version("callrec")
