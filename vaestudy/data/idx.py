"""The IDX format of MNIST and its kin: big-endian magic, dimensions, then bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from vaestudy.data.base import Images
from vaestudy.errors import DataError

UNSIGNED_BYTE = 0x08
MAX_BYTES = 1 << 30


def read_idx(path: Path) -> Images:
    """The array in a gzipped IDX file of unsigned bytes, ``[N, ...]``.

    Raises:
        DataError: not gzip, a wrong magic number, or sizes that do not add up.
    """
    try:
        with gzip.open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a readable gzip file: {error}") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path}: unpacks to more than {MAX_BYTES} bytes")
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise DataError(f"{path}: not an IDX file of unsigned bytes: it begins with {content[:4].hex() or 'nothing'}")
    rank = content[3]
    header = 4 + 4 * rank
    if len(content) < header:
        raise DataError(f"{path}: the IDX header is cut off")
    shape = struct.unpack(f">{rank}I", content[4:header])
    if math.prod(shape) != len(content) - header or 0 in shape:
        raise DataError(f"{path}: the header promises {shape}, {len(content) - header} bytes follow")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
