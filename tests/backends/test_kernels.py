import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import tvm
from tvm import te
from tvm.s_tir import Schedule

from tests.passes.qdq import Qdq
from tvmopt import target as targets
from tvmopt.backends import kernels
from tvmopt.quant.params import QParams


def assembly(name: str, threads: int) -> str:
    x = te.placeholder((8, 64), "uint8", "x")
    sch = Schedule(te.create_prim_func([x, te.compute(x.shape, lambda i, j: x[i, 7 - j % 8], "y")]))
    if threads > 1:
        sch.parallel(sch.get_loops(sch.get_sblock("y"))[0])
    target = targets.get(name)
    lowered = kernels.lower({"f": (sch.mod["main"], {})}, target, stack_bytes=4096, threads=threads)
    return str(tvm.get_global_func("target.build.llvm")(lowered.mod, target.tvm()).inspect_source("asm"))


@pytest.mark.parametrize(("name", "bytes"), [("x86/cascadelake", 64), ("x86/avx2", 32)])
def test_vectors_on_the_stack_are_aligned(name, bytes):
    """In every frame: the function's, and that of a parallel loop's body."""
    assert assembly(name, threads=1).count(f"andq\t$-{bytes}, %rsp") == 1
    assert assembly(name, threads=2).count(f"andq\t$-{bytes}, %rsp") == 2


def test_stacks_that_are_aligned_anyway_are_left_alone():
    assert "prfm" not in assembly("arm/cortex-a72", threads=1)


def test_llvm_ends_for_helium(tmp_path: Path) -> None:
    """For rows of 16 and 9 columns, of which the last is alone in a vector, it did not."""
    g, x, y = Qdq(), QParams.per_tensor(0.05, 3, "int8"), QParams.per_tensor(0.5, 1, "int8")
    product = g.node("MatMul", g.input((1, 1, 9, 16), x), g.input((1, 1, 16, 9), x))
    onnx.save(g.model(g.fake(product, y)), tmp_path / "m.onnx")
    command = [sys.executable, "-m", "tvmopt", "compile", "m.onnx", "-t", "arm/cortex-m55", "-o", "m55"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
