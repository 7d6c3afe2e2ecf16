"""What a compiled library and the code that loads it agree on (the rest is in the header that comes with it)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from .errors import ArtifactError, InputError

ABI = 1
"""Version of the C types and functions of an artifact: ``TVMOPT_ABI`` in its header."""

NAME = "model"
"""What a model is called in C, unless it is given a name: ``tvmopt_model_run`` in ``model.h``."""

_FILES = ("main", "startup", "parallel", "simulated")
"""Names of other files beside a model's."""

MOST_THREADS = 1024
"""Of one inference; their tasks are counted in 16 bits (``templates/parallel.c``)."""

# Follows the ELF file, and is followed by the SHA-256 of all before it: a damaged file is found out before it
# is mapped as code.
_MARK = b"tvmopt-sha256:"


def check_name(name: str) -> None:
    """Raises InputError for what cannot be a model's name in C; macros have it in capitals."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise InputError(
            f"the name '{name}' is not one of small letters, digits and underscores that begins with a letter"
        )
    if name in _FILES:
        raise InputError(f"the name '{name}' is that of a file of ours")


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
