"""What is compared with the wire is what this engine makes of a prompt: all 65536 samples, in both laws."""

from __future__ import annotations

import ctypes
import importlib.util

import numpy as np
import pytest

from callrec.notice.g711 import LAWS


@pytest.mark.parametrize(("payload_type", "name"), [(0, "ulaw"), (8, "alaw")])
def test_our_table_is_that_of_the_engine(payload_type, name):
    found = importlib.util.find_spec("_pjsua2")
    assert found
    library = ctypes.CDLL(found.origin)
    octets = np.array((ctypes.c_uint8 * 16384).in_dll(library, f"pjmedia_linear2{name}_tab"))
    meant = np.array((ctypes.c_int16 * 256).in_dll(library, f"pjmedia_{name}2linear_tab"))
    samples = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int64)

    law = LAWS[payload_type]

    assert np.array_equal(law.meant, meant)
    assert np.array_equal(law.becomes, meant[octets[samples >> 2 & 0x3FFF]])
