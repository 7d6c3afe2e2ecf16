"""The generic rule on functions that are not ours: TVM's float operators keep their results."""

import random

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax import op

from tests.lowering.harness import RUNNABLE, of_threads
from tvmopt import target as targets
from tvmopt.lowering.schedule import schedule
from tvmopt.tuning import extract, space

OPERATORS = {
    "softmax": (lambda x: op.nn.softmax(x, axis=-1), [(2, 12, 33)]),
    "softmax of vectors": (lambda x: op.nn.softmax(x, axis=-1), [(2, 7, 48)]),
    "softmax of many": (lambda x: op.nn.softmax(x, axis=-1), [(3, 1, 4, 512)]),
    "softmax of columns": (lambda x: op.nn.softmax(x, axis=1), [(2, 32, 33)]),
    "normalized sinh": (lambda x: op.divide(op.sinh(x), op.sum(op.sinh(x), axis=[1], keepdims=True)), [(6, 32)]),
    "largest of all": (op.max, [(5, 2, 512)]),
    "wide matrix product": (op.matmul, [(12, 40), (40, 192)]),
    "convolution": (
        lambda x, w, b: op.nn.relu(op.add(op.nn.conv2d(x, w, padding=(1, 1)), b)),
        [(1, 6, 13, 13), (8, 6, 3, 3), (1, 8, 1, 1)],
    ),
    "depthwise": (lambda x, w: op.nn.conv2d(x, w, groups=6), [(1, 6, 14, 14), (6, 1, 3, 3)]),
    "layer norm": (lambda x, w, b: op.nn.layer_norm(x, w, b, axes=[-1]), [(3, 7, 48), (48,), (48,)]),
    "mean of rows": (lambda x: op.mean(x, axis=[1, 3]), [(2, 5, 3, 32)]),
    "mean of columns": (lambda x: op.mean(x, axis=[1]), [(2, 5, 3, 7)]),
    "sum": (op.sum, [(3, 64)]),
    "argmax": (lambda x: op.argmax(x, axis=1), [(3, 50)]),
    "matrix product": (op.matmul, [(5, 17, 24), (24, 33)]),
    "vector times matrix": (op.matmul, [(1, 40), (40, 10)]),
    "by a transposed matrix": (lambda x, y: op.matmul(x, op.permute_dims(y)), [(7, 32), (9, 32)]),
    "batches": (op.matmul, [(2, 3, 9, 8), (2, 1, 8, 5)]),
    "broadcast": (lambda x, y: op.nn.relu(op.add(x, y)), [(2, 6, 5, 7), (1, 6, 1, 1)]),
    "transpose": (lambda x: op.permute_dims(x, [0, 2, 3, 1]), [(1, 3, 9, 20)]),
    "concatenation": (lambda x, y: op.concat((x, y), axis=1), [(1, 4, 9), (1, 3, 9)]),
    "max pooling": (lambda x: op.nn.max_pool2d(x, (3, 3), (2, 2), (1, 1)), [(1, 6, 15, 15)]),
    "resize": (lambda x: op.image.resize2d(x, (9, 9)), [(1, 3, 5, 5)]),
    "scalar": (lambda x, y: op.add(x, y), [(), ()]),
    "with a scalar": (lambda x, y: op.nn.relu(op.multiply(x, y)), [(3, 4, 5), ()]),
}

DECIDED = {
    "softmax": (lambda x: op.nn.softmax(x, axis=-1), [(3, 12, 48)], {"lanes", "together"}),
    "rows": (lambda x, y: op.nn.relu(op.add(x, y)), [(2, 6, 5, 24), (2, 6, 5, 24)], {"lanes", "vectors"}),
    "columns of one": (lambda x, y: op.nn.relu(op.add(x, y)), [(40, 48, 1), (40, 48, 1)], {"lanes", "vectors"}),
    "odd rows": (lambda x, y: op.nn.relu(op.add(x, y)), [(2, 9, 7, 11), (2, 9, 7, 11)], {"lanes", "vectors"}),
    "broadcast": (lambda x, y: op.add(x, y), [(2, 6, 5, 96), (96,)], {"lanes", "vectors"}),
    "transpose": (lambda x: op.permute_dims(x, [0, 2, 3, 1]), [(2, 32, 5, 16)], {"T_transpose.tile"}),
    "max pooling": (
        lambda x: op.nn.max_pool2d(x, (3, 3), (2, 2), (1, 1), layout="NHWC"),
        [(1, 15, 15, 40)],
        {"lanes", "vectors"},
    ),
}


def functions(build, shapes) -> tvm.IRModule:
    """An operator as TVM legalizes and fuses it."""
    parameters = [relax.Var(f"x{i}", relax.TensorType(shape, "float32")) for i, shape in enumerate(shapes)]
    builder = relax.BlockBuilder()
    with builder.function("main", parameters):
        with builder.dataflow():
            out = builder.emit_output(builder.normalize(build(*parameters)))
        builder.emit_func_output(out)
    passes = [relax.transform.LegalizeOps(), relax.transform.AnnotateTIROpPattern()]
    passes += [relax.transform.FuseOps(), relax.transform.FuseTIR()]
    return tvm.transform.Sequential(passes)(builder.finalize())


def run(mod: tvm.IRModule, arrays: list[np.ndarray], target: targets.Target) -> np.ndarray:
    executable = tvm.compile(mod, target=target.tvm())
    machine = relax.VirtualMachine(executable, tvm.cpu())
    return machine["main"](*[tvm.runtime.tensor(array) for array in arrays]).numpy()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", dict.fromkeys([RUNNABLE[0], RUNNABLE[-1]]))
@pytest.mark.parametrize("operator", OPERATORS)
def test_same_result(operator, name, threads):
    build, shapes = OPERATORS[operator]
    target = targets.get(name)
    rng = np.random.default_rng(0)
    arrays = [np.asarray(rng.normal(size=shape), np.float32) for shape in shapes]
    with target.tvm():
        mod = functions(build, shapes)
    expected = run(mod, arrays, target)
    scheduled = schedule(of_threads(mod, threads), target)
    np.testing.assert_allclose(run(scheduled, arrays, target), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("operator", DECIDED)
def test_any_decision(operator):
    build, shapes, names = DECIDED[operator]
    target = targets.get(RUNNABLE[-1])
    rng = np.random.default_rng(0)
    arrays = [np.asarray(rng.normal(size=shape), np.float32) for shape in shapes]
    with target.tvm():
        mod = functions(build, shapes)
    expected = run(schedule(mod, target), arrays, target)
    (task,) = extract.of_module(mod, target).values()
    assert {choice.name for choice in task.space} >= names
    samples = random.Random(0)
    for _ in range(4):
        decisions = space.sample(task, samples)
        found = run(schedule(mod, target, lambda rule, func, given=decisions: given), arrays, target)
        np.testing.assert_array_equal(found, expected, err_msg=str(decisions))


def test_tasks_that_are_too_small_to_decide():
    with targets.get(RUNNABLE[0]).tvm():
        mod = functions(lambda x: op.nn.softmax(x, axis=-1), [(1, 12)])
    assert not extract.of_module(mod, targets.get(RUNNABLE[0]))
