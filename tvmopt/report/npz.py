"""Named arrays in .npz files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from ..errors import InputError


def read(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz file. Raises InputError where that is not what the file is."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from None
    except (AttributeError, TypeError):
        raise InputError("is a single array", file=path, hint="save it with np.savez(path, name=array)") from None
    except (ValueError, EOFError, BadZipFile):
        raise InputError("is damaged, or not an .npz file of plain arrays", file=path) from None


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an .npz file. Unlike ``np.savez`` it takes any names, and leaves the path as it is given."""
    try:
        with ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=path) from None
