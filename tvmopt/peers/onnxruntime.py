"""ONNX Runtime on the CPU, all graph optimizations, the given number of intra-op threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from ..errors import UnsupportedError
from . import Feeds, Refused, Runner, first_line

PROVIDERS = ["CPUExecutionProvider"]

SILENT = 4
"""Log severity of what kills the process; anything less is raised, and said once."""


class Session:
    """A model loaded by ONNX Runtime.

    Parameters
    ----------
    model    : path of an ONNX file, or a model with all its data in memory.
    threads  : intra-op threads.
    integer  : keep s8 activations s8. By default ONNX Runtime rewrites some of them to u8 on x86, after which
               mixed convolutions no longer match its integer kernels and run in float. Slower, but then every
               quantized op has its integer definition, and tapping a tensor does not change how it is computed.
    optimize : whether the graph is optimized at all.

    Raises
    ------
    UnsupportedError : ONNX Runtime does not take the model.
    """

    def __init__(
        self,
        model: Path | onnx.ModelProto,
        *,
        threads: int = 1,
        integer: bool = False,
        optimize: bool = True,
    ) -> None:
        options = _options(threads, optimize)
        if integer:
            options.add_session_config_entry("session.qdqisint8allowed", "1")
        try:
            source = str(model) if isinstance(model, Path) else model.SerializeToString()
            self.session = ort.InferenceSession(source, options, providers=PROVIDERS)
        except Exception as error:  # ONNX Runtime has one exception class per status code, all direct Exceptions
            file = model if isinstance(model, Path) else None
            raise UnsupportedError(f"ONNX Runtime refuses the model: {first_line(error)}", file=file) from None

    @property
    def version(self) -> str:
        """Name and version, for reports."""
        return f"ONNX Runtime {ort.__version__}"

    @property
    def output_types(self) -> dict[str, str]:
        """Name and ONNX Runtime type, such as "tensor(int8)", of every output, in order."""
        return {output.name: output.type for output in self.session.get_outputs()}

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Run one inference; ``outputs`` are the names to fetch, all by default."""
        names = list(self.output_types) if outputs is None else list(outputs)
        return dict(zip(names, self.session.run(names, dict(feeds)), strict=True))


def runner(model: Path, feeds: Feeds, threads: int) -> Runner:
    """See ``tvmopt.peers``. Inputs and outputs are bound once, so a run copies nothing through Python."""
    try:
        session = ort.InferenceSession(str(model), _options(threads), providers=PROVIDERS)
        binding = session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for output in session.get_outputs():
            binding.bind_output(output.name, "cpu")
        for _ in range(2):  # the second run is the first that finds outputs there, and may refuse their shapes
            session.run_with_iobinding(binding)
    except Exception as error:
        raise Refused(f"refused: {first_line(error)}") from None
    return lambda: session.run_with_iobinding(binding)


def _options(threads: int, optimize: bool = True) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    return options
