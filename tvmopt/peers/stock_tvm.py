"""TVM as it is installed: its ONNX importer and its default Relax pipeline, code for this machine's CPU."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx

from .. import target
from . import Feeds, Refused, Runner, first_line


def runner(model: Path, feeds: Feeds, threads: int) -> Runner:
    """See ``tvmopt.peers``. The default CPU pipeline generates single-threaded code, whatever ``threads`` is."""
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    shapes = {name: list(array.shape) for name, array in feeds.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of is no business of the user's here
            module = from_onnx(onnx.load(model), shape_dict=shapes)
        executable = tvm.compile(module, target=target.host().tvm())
        run = relax.VirtualMachine(executable, tvm.cpu())["main"]
        arguments = [tvm.runtime.tensor(array) for array in feeds.values()]
        run(*arguments)
    except Exception as error:
        raise Refused(f"refused: {first_line(error)}") from None
    return lambda: run(*arguments)
