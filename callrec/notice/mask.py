"""The speech mask in the register: taken once, when a prompt is added, because voice detection differs by build."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def mask_to_hex(mask: Mask) -> str:
    """The speech mask as the manifest holds it: one bit for each 20 ms, the first one highest, padded with zeros."""
    return np.packbits(mask).tobytes().hex()


def mask_from_hex(digits: str, frames: int) -> Mask:
    """The mask back, for a prompt of this many frames of 20 ms. ValueError where it is for another length."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8)).astype(bool)
    if not frames <= len(bits) < frames + 8 or bits[frames:].any():
        raise ValueError(f"this speech mask is not for a prompt of {frames} frames")
    return bits[:frames]
