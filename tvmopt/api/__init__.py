"""The stages put together: what ``import tvmopt`` offers.

Errors that are the user's to act on are ``tvmopt.errors.TvmoptError``; anything else that goes wrong inside a
stage is raised as ``InternalError``, which names the stage and the file. Progress is logged to "tvmopt".
"""

from .artifacts import compile, load, open
from .compressing import compress
from .describing import estimate, inspect, list_targets
from .measuring import bench, verify
from .tuning import tune

__all__ = ["bench", "compile", "compress", "estimate", "inspect", "list_targets", "load", "open", "tune", "verify"]
