"""Compile quantized, pruned ONNX models with Apache TVM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import bench as bench
    from .api import compile as compile
    from .api import compress as compress
    from .api import estimate as estimate
    from .api import inspect as inspect
    from .api import list_targets as list_targets
    from .api import load as load
    from .api import open as open
    from .api import tune as tune
    from .api import verify as verify

__all__ = ["bench", "compile", "compress", "estimate", "inspect", "list_targets", "load", "open", "tune", "verify"]


def __getattr__(name: str) -> Any:
    # Public names are looked up when first used, so that `import tvmopt` and `tvmopt --help` stay quick.
    if name not in __all__:
        raise AttributeError(f"module 'tvmopt' has no attribute '{name}'")
    from . import api

    return getattr(api, name)
