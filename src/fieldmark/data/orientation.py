"""How a camera was held: the EXIF orientation tag, read without trusting the rest of the EXIF block."""

from __future__ import annotations

import struct

from PIL import Image

_ORIENTATION = 0x0112
_UNPACK = {3: "H", 4: "I"}  # TIFF field types: SHORT as the standard says, LONG as some writers do

# EXIF 2.32, section 4.6.4: the value tells where row 0 and column 0 stand; the turn undoes it.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset({5, 6, 7, 8})


def orientation(exif: bytes) -> int:
    """1 to 8 from an EXIF block (with or without its "Exif" prefix); 1, upright, where it is absent or damaged."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, offset)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", block, entry)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(order + _UNPACK.get(kind, "H"), block, entry + 8)
                return value if value in TURNS else 1
    except struct.error:
        return 1
    return 1
