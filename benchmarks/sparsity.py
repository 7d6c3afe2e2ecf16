"""What zeros in weights save: layers and models beside our own dense kernels on the same instruction set.

A layer is one matrix product (also a 1x1 convolution's) or 3x3 convolution of uint8 activations and int8 weights,
compiled with and without `--no-sparsity` and timed in turn (A B A B ...) on one thread; times are the shortest of many
runs. Zeros are where magnitude pruning of random weights puts them, in blocks of outputs x inputs at one tap of the
kernel. "kernel" tells which of the two was chosen. Exact: equal to the integer reference, bit for bit (models: every
output to that without sparsity).

What zeros cannot save is the input's transposition and the output's requantization: of 64 inputs to 256 outputs these
are a fifth of the dense kernel's time, which bounds what 90 % of zeros can gain.

Other instruction sets, timed on the same machine in the same way (`-t`): on x86/avx2 these layers are 3.2-4.3x faster
with 80 % of zeros in 4x1 blocks and 5.2-8.5x with 90 % in 16x1 blocks, on x86/skylake-avx512 (without VNNI) 2.7-3.8x
and 4.1-7.4x, on x86/generic (SSE2) 3.6-5.4x and 5.0-10.2x (batch 1: dense and 1.9x), where mobilenet_v2-16x1@80-u8-qdq
is 3.5x faster. On AArch64 instructions were counted, in QEMU, no cycles measured. With dot product (arm/cortex-a76)
they are 3.1-3.5 times fewer than dense with 80 % in 4x1 blocks and 5.5-6.1 times with 90 % in 16x1 blocks (64 inputs to
64 outputs: 1.7 and 2.0 times), and mobilenet_v2-16x1@80-u8-qdq takes 27.6 million instead of 59.0; without it
(arm/cortex-a53) 2.6-4.0 and 3.6-7.5 times fewer, and 41.8 million instead of 122.6. Helium, 32-bit NEON and RISC-V keep
dense kernels: no schedule rule of theirs has the instructions.

On Cortex-M without vectors (arm/cortex-m4, instructions in QEMU) 36 rows of 128 inputs to 128 outputs take 3.4 times
fewer with 80 % in 4x1 blocks and 4.9 times with 90 %, in a third and a fifth of the flash, 125 rows of 64 to 64 outputs
2.3 and 3.2 times fewer; vww with 80 % of its weights in 4x1 blocks taken away (`tvmopt compress --prune block4x1:0.8`)
takes 11.1 million instead of 26.4, kws 5.4 instead of 8.7, dead channels gone on the way. Convolutions of larger
windows stay dense there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import tvmopt
from tvmopt.cli import options, terminal
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv, MatMul
from tvmopt.report import bench
from tvmopt.runtime import Artifact
from tvmopt.runtime.library import LINE, aligned

from . import data, models
from .command import Command, listed

LAYERS = {  # name: shape of the input, outputs, size of the kernel, stride
    "bert attention": ((128, 768), 768, 1, 1),
    "bert feed-forward in": ((128, 768), 3072, 1, 1),
    "bert feed-forward out": ((128, 3072), 768, 1, 1),
    "resnet50 layer1.0 conv1": ((56 * 56, 64), 64, 1, 1),
    "resnet50 layer1 conv1": ((56 * 56, 256), 64, 1, 1),
    "resnet50 layer1 conv3": ((56 * 56, 64), 256, 1, 1),
    "resnet50 layer2 conv1": ((28 * 28, 512), 128, 1, 1),
    "resnet50 layer3 conv1": ((14 * 14, 1024), 256, 1, 1),
    "resnet50 layer3 conv3": ((14 * 14, 256), 1024, 1, 1),
    "resnet50 layer4 conv1": ((7 * 7, 2048), 512, 1, 1),
    "resnet50 layer1 conv2": ((1, 64, 56, 56), 64, 3, 1),
    "resnet50 layer2 conv2": ((1, 128, 28, 28), 128, 3, 1),
    "resnet50 layer3 conv2": ((1, 256, 14, 14), 256, 3, 1),
    "resnet50 layer4 conv2": ((1, 512, 7, 7), 512, 3, 1),
    "resnet50 layer2.0 conv2": ((1, 128, 56, 56), 128, 3, 2),
    "resnet50 layer2.0 downsample": ((1, 256, 56, 56), 512, 1, 2),
    "batch 1": ((1, 2048), 4096, 1, 1),
}
BLOCKS = {"16x1": (16, 1), "4x1": (4, 1), "unstructured": (1, 1)}
ZEROS = (50, 80, 90)
MODELS = ("vww", "mobilenet_v2-16x1@80-u8-qdq", "resnet50-16x1@80-u8-qdq", "resnet50-4x1@90-u8-qdq")
REPORT = data.ROOT / "docs" / "sparsity.md"
X, W = QParams.per_tensor(0.02, 120, "uint8"), QParams.per_tensor(0.01, 0, "int8")


@dataclass(frozen=True)
class Row:
    """One layer or model with one pattern of zeros.

    shape, pattern : of a layer: its input, outputs and kernel, and the blocks of zeros.
    zeros  : percent of the weights.
    ratio  : how many times faster than dense.
    kernel : of a layer: "sparse" or "dense"; of a model: how many kernels are sparse.
    """

    name: str
    shape: str
    pattern: str
    zeros: int
    dense_us: float
    us: float
    ratio: float
    kernel: str
    exact: bool


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    target: str
    layers: list[Row]
    models: list[Row]


def layer(name: str, target: str) -> list[Row]:
    """One layer without zeros and with every pattern of them."""
    shape, outputs, kernel, stride = LAYERS[name]
    full = region(shape[1], outputs, kernel, "unstructured", 0, stride)
    dense = compile_layer(full, shape, target, sparsity=False)
    x = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    channels_last = np.moveaxis(x, 1, -1)
    feeds = {"x": aligned(LINE, channels_last.shape, x.dtype)}
    feeds["x"][...] = channels_last
    cases = [("", 0, full)]
    cases += [(p, zeros, region(shape[1], outputs, kernel, p, zeros, stride)) for p in BLOCKS for zeros in ZEROS]
    rows = []
    for pattern, zeros, case in cases:
        artifact = compile_layer(case, shape, target)
        (got,) = artifact.run(feeds).values()
        exact = bool(np.array_equal(np.moveaxis(got, -1, 1), reference.run(case, x)))
        slow, fast = _times(dense, artifact, feeds)
        size = f"{'x'.join(map(str, shape))} to {outputs}" + (f", {kernel}x{kernel}" if len(shape) > 2 else "")
        size += f", stride {stride}" if stride > 1 else ""
        used = "sparse" if _sparse(artifact) else "dense"
        rows.append(Row(name, size, pattern, zeros, slow, fast, slow / fast, used, exact))
    return rows


def model(name: str, target: str) -> Row:
    """A model with its zeros used and not used."""
    path = models.get(name)
    artifact, dense = (tvmopt.compile(path, target, sparsity=sparsity) for sparsity in (True, False))
    (feeds,) = data.samples(name, 1)
    outputs = [list(each.run(feeds).values()) for each in (artifact, dense)]
    exact = all(map(np.array_equal, *outputs))
    slow, fast = _times(dense, artifact, feeds)
    zeros = round(100 * tvmopt.inspect(path).zero_fraction)
    return Row(name, "", "", zeros, slow, fast, slow / fast, f"{_sparse(artifact)} sparse", exact)


def region(inputs: int, outputs: int, kernel: int, pattern: str, zeros: int, stride: int = 1) -> MatMul | Conv:
    """A product, or a convolution that keeps the image's size but for its stride, with random weights of which the
    smallest blocks are zero."""
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 40, (outputs, inputs, kernel**2)).round().clip(-127, 127)
    rows, columns = BLOCKS[pattern]
    score = np.abs(weight).reshape(outputs // rows, rows, inputs // columns, columns, -1).sum((1, 3))
    if zeros:
        weight *= np.kron(score > np.quantile(score, zeros / 100), np.ones((rows, columns, 1)))
    y = QParams.per_tensor(0.02 * 0.01 * 74 * (inputs * kernel**2) ** 0.5, 128, "uint8")
    bias = rng.integers(-999, 999, outputs).astype(np.int32)
    if kernel == stride == 1:
        return MatMul(X, W, np.ascontiguousarray(weight[..., 0].T).astype(np.int8), bias, y, (0, 255))
    shaped = weight.reshape(outputs, inputs, kernel, kernel).astype(np.int8)
    return Conv(X, W, shaped, bias, y, (0, 255), (stride,) * 2, (kernel // 2,) * 4, (1, 1))


def compile_layer(case: MatMul | Conv, shape: Sequence[int], target: str, sparsity: bool = True) -> Artifact:
    """A model of that region alone for an input of ``shape``, which takes and gives 8-bit tensors.

    An image's channels are last on both sides, as kernels have them: a network is not transposed at every layer.
    """
    return tvmopt.compile(_onnx(case, shape).SerializeToString(), target, sparsity=sparsity, io="int8")


def _onnx(case: MatMul | Conv, shape: Sequence[int]) -> onnx.ModelProto:
    constants = {
        "w": case.weight, "b": case.bias, "w_scale": W.scale, "w_zero": W.zero_point,
        "b_scale": np.float32(X.scale * W.scale), "b_zero": np.int32(0),
        "x_scale": X.scale, "x_zero": X.zero_point, "y_scale": case.y.scale, "y_zero": case.y.zero_point,
    }  # fmt: skip
    conv = isinstance(case, Conv)
    x_shape, y_shape = list(shape), [shape[0], case.bias.size]
    if conv:
        y_shape += [size // case.strides[0] for size in shape[2:]]
        x_shape, y_shape = [[n, *space, c] for n, c, *space in (x_shape, y_shape)]
    first, last = ([0, 3, 1, 2], [0, 2, 3, 1]) if conv else ([0, 1], [0, 1])
    attributes = {"pads": case.padding, "strides": case.strides, "kernel_shape": case.weight.shape[2:]} if conv else {}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["x_q"]),
        helper.make_node("Transpose", ["x_q"], ["x_t"], perm=first),
        *(
            helper.make_node("DequantizeLinear", [tensor, f"{name}_scale", f"{name}_zero"], [f"{name}_f"])
            for name, tensor in (("x", "x_t"), ("w", "w"), ("b", "b"))
        ),
        helper.make_node("Conv" if conv else "Gemm", ["x_f", "w_f", "b_f"], ["y_f"], **attributes),
        helper.make_node("QuantizeLinear", ["y_f", "y_scale", "y_zero"], ["y_q"]),
        helper.make_node("Transpose", ["y_q"], ["y_t"], perm=last),
        helper.make_node("DequantizeLinear", ["y_t", "y_scale", "y_zero"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, y_shape)
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "layer", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _times(dense: Artifact, artifact: Artifact, feeds: dict[str, np.ndarray]) -> tuple[float, float]:
    """Microseconds of both."""
    times = bench.interleave({"dense": dense.bind(feeds), "sparse": artifact.bind(feeds)})
    return min(times["dense"]) * 1e6, min(times["sparse"]) * 1e6


def _sparse(artifact: Artifact) -> int:
    """How many kernels skip zeros."""
    return int(artifact.manifest["history"][-1]["after"]["sparse"])


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and rows."""
    cells = [
        [
            *(row.name, row.shape, row.pattern, f"{row.zeros} %", f"{row.dense_us:.1f}", f"{row.us:.1f}"),
            *(f"{row.ratio:.2f}x", row.kernel, "yes" if row.exact else "NO"),
        ]
        for row in rows
    ]
    return ["name", "shape", "pattern", "zeros", "dense us", "us", "faster", "kernel", "exact"], cells


def markdown(report: Report) -> str:
    """docs/sparsity.md."""
    lines = ["# Sparsity", "", "<!-- python -m benchmarks.sparsity --write -->", str(__doc__).strip(), ""]
    lines.append(f"{bench.machine()}, target {report.target}.")
    for title, rows in (("Layers", report.layers), ("Models", report.models)):
        header, cells = table(rows)
        lines += ["", f"## {title}", ""]
        lines += [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *cells)]
    return "\n".join(lines) + "\n"


@click.command(cls=Command, help=__doc__)
@click.option("--layers", "names", default=",".join(LAYERS), callback=listed, help="Names of layers.")
@click.option("--models", "whole", default=",".join(MODELS), callback=listed, help="Names of benchmark models.")
@options.target
@options.as_json
@click.option("--write", is_flag=True, help=f"Write {REPORT.relative_to(data.ROOT)}.")
def main(names: list[str], whole: list[str], target: str, as_json: bool, write: bool) -> None:
    with terminal.progress():
        layers = [row for name in names for row in layer(name, target)]
        report = Report(target, layers, [model(name, target) for name in whole])
    if as_json:
        terminal.print_json(report)
    else:
        terminal.print_table("layers", *table(report.layers))
        terminal.print_table("models", *table(report.models))
    if write:
        REPORT.write_text(markdown(report))


if __name__ == "__main__":
    main()
