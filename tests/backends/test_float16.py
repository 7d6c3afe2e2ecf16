"""Half precision: right where there is code for it, refused where there is none."""

from __future__ import annotations

import numpy as np
import pytest

import tvmopt
from tests import tools
from tests.frontend.runs import model
from tvmopt.errors import UnsupportedError

HALVES = "g (float16[2,3] x) => (float16[2,3] y) { y = Mul(x, x) }"
INSIDE = "g (float[2,3] x) => (float[2,3] y) { a = Cast<to = 10>(x) b = Mul(a, a) y = Cast<to = 1>(b) }"
X = np.float32([[-2, -1, 0], [1, 0.5, 3]])


@pytest.mark.parametrize(
    ("target", "needs"),
    [
        ("host", ()),
        ("x86/generic", ()),
        ("arm/cortex-a7", ("arm-linux-gnueabihf-gcc", "qemu-arm")),
        ("arm/cortex-a53", ("aarch64-linux-gnu-gcc", "qemu-aarch64")),
        ("arm/cortex-m4", tools.BARE_METAL),
    ],
)
@pytest.mark.parametrize("body", [HALVES, INSIDE], ids=["outside", "inside"])
def test_products(target: str, needs: tuple[str, ...], body: str) -> None:
    tools.need(*needs)
    artifact = tvmopt.compile(model(body), target)
    found = artifact.run({"x": X.astype(artifact.inputs[0].dtype)})["y"]
    np.testing.assert_array_equal(found, X * X)


@pytest.mark.parametrize("body", [HALVES, INSIDE], ids=["outside", "inside"])
@pytest.mark.parametrize(
    ("target", "emit", "lacks"),
    [
        ("riscv/rv64gc", "object", "riscv/rv64gc lacks"),
        ("riscv/rv64gcv", "object", "riscv/rv64gcv lacks"),
        ("arm/cortex-m0plus", "object", "arm/cortex-m0plus lacks"),
        ("arm/cortex-m4", "c", "C lacks"),
    ],
)
def test_none(target: str, emit: str, lacks: str, body: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"it computes in float16, which {lacks} \(use float32\)"):
        tvmopt.compile(model(body), target, emit=emit)  # type: ignore[arg-type]
