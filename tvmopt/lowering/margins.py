"""Images that are quantized with the border that the convolution reading them wants around, so that it copies nothing.

quantize(image) -> conv(copy of it with a border)    becomes    quantize(image) with margins -> conv
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tvm import relax
from tvm.ir import Call, GlobalVar

from ..quant.regions import Conv, Quantize, Region
from ..quant.relax_form.scope import static_shape
from ..target import Target
from .kernel import Margins
from .packing import choose
from .window import Window

CHANNELS, PIXELS = 3, 16
"""Colours of an image, and how many of its pixels are quantized at a time."""


def margins(
    main: relax.Function, regions: Mapping[GlobalVar, Region | None], target: Target
) -> dict[relax.Var, Margins]:
    """What is put around images that ``main`` is given and quantizes for one convolution, by the quantized variable.

    AVX512-VNNI only: elsewhere it was not measured.
    """
    if target.cuda is not None or "avx512vnni" not in target.features:
        return {}
    bindings = [binding for block in main.body.blocks for binding in block.bindings]
    uses = Counter(var for binding in bindings for var in relax.analysis.free_vars(binding.value))
    uses.update(relax.analysis.free_vars(main.body.body))
    images = {
        binding.var
        for binding in bindings
        if _is_image(_called(binding, regions), binding) and binding.value.args[0] in set(main.params)
    }
    found = {}
    for binding in bindings:
        region = _called(binding, regions)
        if not isinstance(region, Conv) or (image := binding.value.args[0]) not in images or uses[image] > 1:
            continue
        if (around := _around(region, image, binding.var, target)) is not None:
            found[image] = around
    return found


def _called(binding: relax.Binding, regions: Mapping[GlobalVar, Region | None]) -> Region | None:
    value = binding.value
    return regions.get(value.op) if isinstance(value, Call) and isinstance(value.op, GlobalVar) else None


def _is_image(region: Region | None, binding: relax.Binding) -> bool:
    """Whether it is quantized with one scale, and its rows are whole vectors of pixels."""
    shape = static_shape(binding.var.ty)
    if not isinstance(region, Quantize) or region.y.axis is not None or shape is None or len(shape) != 4:
        return False
    return shape[1] == CHANNELS and shape[3] % PIXELS == 0


def _around(region: Conv, image: relax.Var, y: relax.Var, target: Target) -> Margins | None:
    """The border of a convolution whose kernel reads rows of windows, all channels side by side."""
    shape, out_shape = static_shape(image.ty), static_shape(y.ty)
    if shape is None or out_shape is None:
        return None
    window = Window.of(region, shape, out_shape)
    by_rows = (window.groups, window.dilations[1], window.spread) == (1, 1, (1, 1)) and not window.pointwise
    if not by_rows or min(region.padding) < 0 or choose(target, "uint8", window.weight).depth != 4:
        return None
    top, left, bottom, right = region.padding
    return Margins(top, bottom, left, right)
