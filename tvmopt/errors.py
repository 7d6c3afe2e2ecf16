"""Every error a user can meet.

A message names the file, the node and the reason, in that order, and, where there is one, the way out.
The command line prints it and exits with code 2; nothing else is printed.
"""

from __future__ import annotations

from os import PathLike


class TvmoptError(Exception):
    """Base of all errors that are the user's to act on.

    Parameters
    ----------
    reason : what is wrong, one sentence without a full stop.
    file   : the file it is in.
    node   : the graph node (or tensor, or key) it is about.
    hint   : what would make it work.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: str | PathLike[str] | None = None,
        node: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.reason = reason
        self.file = None if file is None else str(file)
        self.node = node
        self.hint = hint
        super().__init__(reason)

    def __str__(self) -> str:
        where = [part for part in (self.file, self.node and f"node '{self.node}'") if part]
        text = ": ".join([*where, self.reason])
        return f"{text} ({self.hint})" if self.hint else text


class ModelError(TvmoptError):
    """The model file, or something in it, is invalid."""


class UnsupportedError(TvmoptError):
    """The model is valid, but asks for something that is not supported."""


class InputError(TvmoptError):
    """An array given to a model does not fit: name, shape, dtype or values."""


class TargetError(TvmoptError):
    """A target is unknown, or its file is wrong."""


class ArtifactError(TvmoptError):
    """A compiled artifact is damaged, of another version, or not for this machine."""


class DependencyError(TvmoptError):
    """A package or program that this command needs is not installed; the hint says which extra has it."""


class TuningError(TvmoptError):
    """A tuning campaign cannot go on: no worker or board is left, or its records cannot be read or written."""


class DeviceError(TvmoptError):
    """The GPU of this machine cannot run a model: there is none, its driver is too old, or its memory is full."""


class InternalError(Exception):
    """A stage failed in a way that is not the user's to fix: a bug in tvmopt or in TVM. The cause is chained.

    Parameters
    ----------
    stage : what was being done ("lowering", ...).
    file  : the model it was done to.
    cause : the exception that the stage raised.
    """

    def __init__(self, stage: str, file: str, cause: BaseException) -> None:
        first = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        super().__init__(f"{file}: internal error while {stage}: {type(cause).__name__}: {first}")
