"""Runs TOSA graphs by the reference model of the specification, which is what an NPU's results are defined by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tosa_reference_model

from .graph import Graph


class Executable:
    """A TOSA graph, ready to run."""

    def __init__(self, graph: Graph) -> None:
        # The reference model complains, on standard output, of any version but its own.
        self.serialized = graph.serialize(draft=True)

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for int8 inputs. Raises RuntimeError where the specification leaves a result undefined."""
        arrays = [np.ascontiguousarray(x) for x in inputs]
        outputs, status = tosa_reference_model.run(self.serialized, arrays)
        if status != tosa_reference_model.GraphStatus.TOSA_VALID:
            raise RuntimeError(f"the TOSA reference model reports {status.name}")
        return [np.asarray(output) for output in outputs]
