"""Reads tensors from a file of ``torch.save`` (the format before 1.6) without torch, and without running its pickle.

Layout, from torch/serialization.py (_legacy_load): five pickles (magic number, protocol, platform, the object with
its storages left out, the storages' keys), then for each key an int64 element count and the raw elements.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from tvmopt.errors import ModelError

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Unpickler(pickle.Unpickler):
    """Knows the few names that a dictionary of tensors needs, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"unexpected {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, *_ = pid
        return dtype, key


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The named tensors of a state dictionary."""
    with path.open("rb") as file:
        magic, _, _, tensors, keys = (_Unpickler(file).load() for _ in range(5))
        if magic != MAGIC:
            raise ModelError("not a file of torch.save before 1.6", file=path)
        dtypes = {key: dtype for (dtype, key), *_ in tensors.values()}
        storages = {}
        for key in keys:
            count = int.from_bytes(file.read(8), "little")
            storages[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key])
    return {
        name: np.lib.stride_tricks.as_strided(
            storages[key][offset:], shape, [stride * dtype.itemsize for stride in strides], writeable=False
        )
        for name, ((dtype, key), offset, shape, strides) in tensors.items()
    }
