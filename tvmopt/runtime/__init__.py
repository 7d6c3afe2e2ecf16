"""Load and run compiled models."""

from __future__ import annotations

from pathlib import Path

from .artifact import Artifact, Timing

__all__ = ["Artifact", "Timing", "open"]


def open(path: Path) -> Artifact:
    """Load an artifact. Raises ArtifactError if it is damaged, of another version, or not for this machine."""
    artifact = Artifact(path)
    _ = artifact.engine
    return artifact
