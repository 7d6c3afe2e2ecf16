"""OpenVINO on the CPU with its latency hint."""

from __future__ import annotations

from pathlib import Path

from . import Feeds, Refused, Runner


def runner(model: Path, feeds: Feeds, threads: int) -> Runner:
    """See ``tvmopt.peers``."""
    try:
        import openvino
    except ImportError:
        raise Refused("not installed") from None
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    try:
        core = openvino.Core()
        network = core.read_model(model)
        network.reshape({name: list(array.shape) for name, array in feeds.items()})
        request = core.compile_model(network, "CPU", config).create_infer_request()
        for name, array in feeds.items():
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        request.infer()
    except Exception as error:
        # Its messages begin with where in its source they come from, and end with what is wrong.
        raise Refused(f"refused: {str(error).strip().splitlines()[-1].strip('- ')}") from None
    return request.infer
