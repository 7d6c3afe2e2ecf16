"""What a compiled library and the code that loads it agree on (the rest is in the header that comes with it)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .errors import ArtifactError

ABI = 1
"""Version of the C types and functions of an artifact: ``TVMOPT_ABI`` in its header."""

MOST_THREADS = 1024
"""Of one inference; their tasks are counted in 16 bits (``templates/parallel.c``)."""

# Follows the ELF file, and is followed by the SHA-256 of all before it: a damaged file is found out before it
# is mapped as code.
_MARK = b"tvmopt-sha256:"


def seal(library: bytes) -> bytes:
    """Add a checksum to a shared library; loaders of shared libraries ignore what follows the last section."""
    return library + _MARK + hashlib.sha256(library).digest()


def check_seal(path: Path) -> bytes:
    """The library in a sealed file. Raises ArtifactError unless it is whole and unchanged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}", file=path) from None
    body, mark, digest = data.rpartition(_MARK)
    if not mark:
        raise ArtifactError("is not a library compiled by tvmopt, or was cut short or stripped", file=path)
    if hashlib.sha256(body).digest() != digest:
        raise ArtifactError("is damaged: its checksum does not match its content", file=path)
    return body
