"""How much of a device's memory an object file takes."""

from __future__ import annotations

import struct
from pathlib import Path

_LOADED = 0x2  # SHF_ALLOC


def loaded_bytes(path: Path) -> int:
    """Bytes of those sections of a little-endian ELF file that are in memory when it runs (System V ABI, "ELF Header"
    and "Section Header")."""
    data = path.read_bytes()
    word = "Q" if data[4] == 2 else "I"  # ELFCLASS64
    *_, place, _, _, _, _, size, count, _ = struct.unpack_from(f"<16sHHI{3 * word}I6H", data)
    sections = [struct.unpack_from(f"<II{4 * word}", data, place + size * i) for i in range(count)]
    return sum(bytes_ for _, _, flags, _, _, bytes_ in sections if flags & _LOADED)
