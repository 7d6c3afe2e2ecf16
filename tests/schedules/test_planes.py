"""Planes of channels to channels side by side, on the way of which bytes are made."""

import numpy as np
import pytest
import tvm
from tvm import relax

from tests.lowering.harness import RUNNABLE, of_threads
from tvmopt import target as targets
from tvmopt.lowering.legalize import legalize
from tvmopt.lowering.schedule import schedule


def transposed(shape: tuple[int, ...], dtype: str) -> tvm.IRModule:
    x = relax.Var("x", relax.TensorType(shape, dtype))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            bytes_ = x if dtype == "uint8" else builder.emit(relax.op.astype(x, "uint8"))
            out = builder.emit_output(relax.op.permute_dims(bytes_, [0, 2, 3, 1]))
        builder.emit_func_output(out)
    return legalize(builder.finalize())


@pytest.mark.parametrize(("dtype", "threads"), [("uint8", 2), ("float32", 1)])
@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize(("channels", "width"), [(2, 16), (3, 48), (4, 32), (3, 20), (5, 16)])
def test_channels_side_by_side(name, channels, width, dtype, threads):
    target = targets.get(name)
    x = np.random.default_rng(0).integers(0, 256, (2, channels, 3, width)).astype(dtype)
    with target.tvm():
        scheduled = schedule(of_threads(transposed(x.shape, dtype), threads), target)
    assert ("Shuffle" in scheduled.script()) == (1 < channels <= 4 and width % 16 == 0)
    machine = relax.VirtualMachine(tvm.compile(scheduled, target=target.tvm()), tvm.cpu())
    got = machine["main"](tvm.runtime.tensor(x)).numpy()
    np.testing.assert_array_equal(got, x.astype(np.uint8).transpose(0, 2, 3, 1))
