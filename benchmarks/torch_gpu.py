"""What torch does with the same shapes on a GPU, with its best public settings, as CUDA graphs.

Never run by us: we had no GPU. Needs torch and torchvision with CUDA, which no extra of ours has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tvmopt import driver
from tvmopt.errors import DependencyError, DeviceError

Call = Callable[[], object]


def find() -> Any:
    """torch. Raises DeviceError where there is no GPU that it can use, DependencyError where it is not installed."""
    driver.find()
    try:
        import torch
        import torchvision  # noqa: F401
    except ImportError as error:
        hint = "pip install torch torchvision"
        raise DependencyError(f"what runs are compared with is not installed: {error.name}", hint=hint) from None
    if not torch.cuda.is_available():
        raise DeviceError("torch cannot use this machine's GPU", hint="install torch built for its CUDA version")
    return torch


def network(name: str, batch: int) -> Call:
    """A network of torchvision at 224 x 224 in bf16, channels last, with random weights."""
    torch = find()
    import torchvision

    torch.backends.cudnn.benchmark = True
    last = {"device": "cuda", "dtype": torch.bfloat16, "memory_format": torch.channels_last}
    model = getattr(torchvision.models, name)(weights=None).eval().to(**last)
    return _graphed(torch, partial(model, torch.randn(batch, 3, 224, 224).to(**last)))


def product(rows: int, length: int, columns: int) -> Call:
    """A matrix product with bias in bf16."""
    torch = find()
    x, weight, bias = (
        torch.randn(*shape, device="cuda", dtype=torch.bfloat16)
        for shape in ((rows, length), (columns, length), (columns,))
    )
    return _graphed(torch, partial(torch.nn.functional.linear, x, weight, bias))


def batched_product(batch: int, tokens: int, width: int) -> Call:
    """Products of two tensors in bf16."""
    torch = find()
    a, b = (
        torch.randn(*shape, device="cuda", dtype=torch.bfloat16)
        for shape in ((batch, tokens, width), (batch, width, tokens))
    )
    return _graphed(torch, partial(torch.bmm, a, b))


def integer_product(rows: int, length: int, columns: int) -> Call:
    """``torch._int_mm``, which is cuBLASLt's s8 x s8 to s32: without bias, or the way back to 8 bits.

    It takes no fewer than 17 rows, so there are 32 where fewer are asked for.
    """
    torch = find()
    x, weight = (
        torch.randint(-128, 128, shape, device="cuda", dtype=torch.int8)
        for shape in ((rows if rows > 16 else 32, length), (columns, length))
    )
    return _graphed(torch, partial(torch._int_mm, x, weight.t()))


def _graphed(torch: Any, call: Call) -> Call:
    """``call`` as a CUDA graph, captured as torch's documentation says: after some calls on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        call()

    def run() -> None:
        graph.replay()

    return run
