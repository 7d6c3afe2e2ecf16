import pytest
import tvm
from tvm import te
from tvm.s_tir import Schedule

from tvmopt import target as targets
from tvmopt.backends import kernels


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
