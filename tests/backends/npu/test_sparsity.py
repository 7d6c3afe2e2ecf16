"""What zeros are worth to an Ethos-U, by Vela's estimates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tvmopt
from tests.lowering.strategies import tensor
from tvmopt import frontend
from tvmopt.backends.npu.facts import two_of_four
from tvmopt.backends.npu.part import Part, parts
from tvmopt.passes import pipeline
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv

from .harness import accelerator, one, partitioned


def compiled(path: Path, name: str, sparsity: bool = True) -> Part:
    """The only subgraph of a model."""
    model = pipeline.run(frontend.load(path), sparsity=sparsity, requantize="fixed")
    (part,) = parts(partitioned(model, name), accelerator(name)).values()
    return part


def test_folding_dead_channels_is_worth_a_third_of_vww(mlperf_tiny) -> None:
    folded, whole = (compiled(mlperf_tiny["vww"], "edge/ethos-u55-128", sparsity) for sparsity in (True, False))
    assert whole.compiled.estimate.cycles >= 1.3 * folded.compiled.estimate.cycles


def heavy(part: Part) -> set[str]:
    """Convolutions of 3x3 taps and 32 channels or more that keep the size of their image."""
    convolutions = [node for node in part.graph.nodes if node.op == "CONV2D"]
    return {
        node.output.name.rpartition("#")[0]
        for node in convolutions
        if node.inputs[0].shape[1:3] == node.output.shape[1:3]
        and node.inputs[1].shape[1] == 3
        and node.inputs[1].shape[3] >= 32
    }


def test_two_of_four_halves_the_cycles_of_an_ethos_u85(mlperf_tiny, tmp_path: Path) -> None:
    """Where there is much to multiply; convolutions with a stride or of one tap gain less."""
    tvmopt.compress(mlperf_tiny["ic"], tmp_path / "sparse.onnx", prune="2:4")
    dense, sparse = (compiled(path, "edge/ethos-u85-256") for path in (mlperf_tiny["ic"], tmp_path / "sparse.onnx"))
    assert two_of_four(dense) == []
    assert len(two_of_four(sparse)) == 8  # not the input layer, and not 10 products of 64
    before, after = ({layer.name: layer for layer in part.compiled.layers} for part in (dense, sparse))
    assert len(heavy(dense)) == 2
    for name in heavy(dense):
        assert before[name].npu_cycles >= 1.7 * after[name].npu_cycles
    assert dense.compiled.estimate.npu_cycles >= 1.35 * sparse.compiled.estimate.npu_cycles


def test_zeros_compress_on_every_ethos_u(mlperf_tiny, tmp_path: Path) -> None:
    tvmopt.compress(mlperf_tiny["ic"], tmp_path / "sparse.onnx", prune="unstructured:0.8")
    dense, sparse = (compiled(path, "edge/ethos-u55-128") for path in (mlperf_tiny["ic"], tmp_path / "sparse.onnx"))
    assert dense.compiled.estimate.weight_bytes >= 2 * sparse.compiled.estimate.weight_bytes


def test_a_weight_of_minus_128_is_not_sparse() -> None:
    p, w = QParams.per_tensor(0.5, 3, "int8"), QParams.per_tensor(0.01, 0, "int8")
    weight = tensor((16, 32, 3, 3), "int8")
    weight[:, 0::4] = weight[:, 1::4] = 0
    macs = []
    for lowest in (-128, -127):
        held = np.maximum(weight, lowest)
        held[0, 2, 0, 0] = lowest
        geometry = ((1, 1), (1,) * 4, (1, 1))
        region = Conv(p, w, held, np.zeros(16, np.int32), p, p.range, *geometry, requantize="fixed")
        model = partitioned(one(region, tensor((1, 32, 16, 16), "int8")), "edge/ethos-u85-256")
        (part,) = parts(model, accelerator("edge/ethos-u85-256")).values()
        assert len(two_of_four(part)) == (lowest == -127)
        macs.append(part.compiled.estimate.macs)
    assert macs[0] == 2 * macs[1]


def test_of_several_groups_all_have_to_be_sparse() -> None:
    p, w = QParams.per_tensor(0.5, 3, "int8"), QParams.per_tensor(0.01, 0, "int8")
    for dense in (0, 1):
        weight = np.maximum(tensor((16, 8, 3, 3), "int8"), -127)
        weight[8 * dense :, 0::4] = weight[8 * dense :, 1::4] = 0
        geometry = ((1, 1), (1,) * 4, (1, 1))
        region = Conv(p, w, weight, np.zeros(16, np.int32), p, p.range, *geometry, groups=2, requantize="fixed")
        model = partitioned(one(region, tensor((1, 16, 4, 4), "int8")), "edge/ethos-u85-256")
        (part,) = parts(model, accelerator("edge/ethos-u85-256")).values()
        assert len(two_of_four(part)) == (dense == 0)
