"""The production engine: what it was built as, and what its additions see on the wire."""

from __future__ import annotations

import ctypes
import importlib.util

_spec = importlib.util.find_spec("_pjsua2")
PRODUCTION = bool(_spec and _spec.origin and hasattr(ctypes.CDLL(_spec.origin), "callrec_face"))
"""The module that this Python would import is the production engine, with our additions."""
