"""``main`` with its int8 regions as calls of TIR kernels, and its tensors stored as those want them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import numpy as np
from tvm import relax
from tvm.ir import Call, GlobalVar, IRModule, Tuple, TupleGetItem
from tvm.tirx import IntImm

from ..quant.params import QParams
from ..quant.regions import Conv, Dequantize, Pool, Quantize, Region, Residual
from ..quant.relax_form import from_function
from ..quant.relax_form.scope import constant
from ..quant.subgraphs import channels_last, is_subgraph
from ..target import Target
from . import sparse
from .dispatch import lower, wants
from .join import joins
from .kernel import Kernel, Stored
from .margins import margins
from .moves import move
from .packing import choose
from .quantize import quantized_image
from .storage import Value, fetch, original
from .widen import widened, widths

ELEMENTWISE, OPAQUE = 0, 8
"""Relax's operator patterns: a function that is fused with float ops and moves around it, and one that is not."""

Held = Union[Value, "list[Held]", relax.Expr]
"""What stands for an expression of the old ``main``: a tensor, several, or what is no tensor of known shape."""


def lower_regions(mod: IRModule, target: Target, sparsity: bool) -> tuple[IRModule, dict[str, int]]:
    """Call of a ``Composite = "tvmopt.<kind>"`` function -> ``call_tir`` of its kernel;
    call of an accelerator's subgraph              -> ``call_dps_packed`` of its name.

    A composite that no kernel takes is replaced by its body. Everything else stays, reading and writing
    tensors as ONNX has them; ops that only move elements work on tensors as they are stored.
    sparsity : kernels may skip zero weights.

    Also returns how many composites became kernels ("regions"), how many of these skip zero weights ("sparse") or
    are computed by the kernel of an operand ("joined"), and how many became their body ("inlined"). The module's
    attribute ``tvmopt.formats`` tells by ONNX value why its weight was taken as sparse or as dense, where it has zeros;
    ``tvmopt.products`` which product is computed together with the ONNX value that one kernel gives.
    """
    lowering = _Lowering(mod, target, sparsity)
    return lowering.run(), lowering.counts


class _Lowering:
    def __init__(self, mod: IRModule, target: Target, sparsity: bool) -> None:
        self.target, self.sparsity = target, sparsity
        self.main = mod["main"]
        self.composites = {gv: f for gv, f in mod.functions.items() if "Composite" in (f.attrs or {})}
        self.subgraphs = {gv: channels_last(mod, f) for gv, f in mod.functions.items() if is_subgraph(f)}
        replaced = {*self.composites, *self.subgraphs}
        kept = {gv: f for gv, f in mod.functions.items() if gv not in replaced and gv.name_hint != "main"}
        self.builder = relax.BlockBuilder(IRModule(kept, attrs=mod.attrs))
        self.held: dict[relax.Var, Held] = {}
        self.regions = {gv: from_function(f) for gv, f in self.composites.items()}
        vectors = target.cuda is None  # a GPU's tiles may end anywhere
        self.widths = widths(self.main, self.regions, choose(target, "uint8", np.zeros(0))) if vectors else {}
        self.margins = margins(self.main, self.regions, target)
        self.joins = joins(self.main, self.regions)
        self.joined: dict[relax.Var, Value] = {}
        self.counts = {"regions": 0, "sparse": 0, "joined": 0, "inlined": 0}
        self.formats: dict[str, str] = {}
        self.products: dict[str, str] = {}

    def run(self) -> IRModule:
        params = [relax.Var(param.name, param.ty) for param in self.main.params]
        with self.builder.function("main", params, dict(self.main.attrs or {})):
            with self.builder.dataflow():
                self.held.update((old, _hold(new)) for old, new in zip(self.main.params, params, strict=True))
                result = self.builder.emit_output(self.plain(self.body(self.main)))
            self.builder.emit_func_output(result)
        return self.builder.get().with_attrs({"tvmopt.formats": self.formats, "tvmopt.products": self.products})

    def body(self, function: relax.Function) -> Held:
        """Emit a function's bindings, whose parameters are held already; its result."""
        for block in function.body.blocks:
            for binding in block.bindings:
                self.held[binding.var] = self.binding(binding)
        return self.operand(function.body.body)

    def binding(self, binding: relax.Binding) -> Held:
        if isinstance(binding, relax.MatchCast):
            value = self.plain(self.operand(binding.value))
            return _hold(self.builder.match_cast(value, binding.ty))
        if isinstance(binding.value, Call):
            return self.call(binding.value, binding.var)
        return self.operand(binding.value)

    def call(self, call: Call, var: relax.Var) -> Held:
        operands, name = [self.operand(arg) for arg in call.args], var.name
        if isinstance(call.op, GlobalVar) and call.op in self.composites:
            return self.composite(call, operands, var)
        if isinstance(call.op, GlobalVar) and call.op in self.subgraphs:
            return self.subgraph(call, operands, name)
        region = _max_pool(call)
        if region is not None and (value := self.kernel(region, operands, var)) is not None:
            return value
        parts = [part for held in operands for part in (held if isinstance(held, list) else [held])]
        tensors = [part for part in parts if isinstance(part, Value)]
        if tensors and _is_static(call.ty) and not any(isinstance(part, relax.Var) for part in parts):
            moved = move(self.builder, call, tensors)
            if moved is not None:
                return moved
        args = [self.plain(held) for held in operands]
        return _hold(self.builder.emit(Call(call.op, args, call.attrs, call.ty_args), name))

    def composite(self, call: Call, operands: list[Held], var: relax.Var) -> Held:
        function, region = self.composites[call.op], self.regions[call.op]
        if var in self.joined:
            self.counts.update(regions=self.counts["regions"] + 1, joined=self.counts["joined"] + 1)
            return self.joined[var]
        width = self.widths.get(var)
        if isinstance(region, Conv) and isinstance(operands[0], Value):
            region = widened(region, operands[0].shape[1], width or region.bias.size)
        if region is not None and (value := self.kernel(region, operands, var, width)) is not None:
            self.counts["regions"] += 1
            return value
        self.counts["inlined"] += 1
        self.held.update(zip(function.params, operands, strict=True))
        return self.body(function)

    def subgraph(self, call: Call, operands: list[Held], name: str) -> Held:
        """Emit the call of an accelerator, which takes and gives tensors as ``quant.subgraphs`` says."""
        last = self.subgraphs[call.op]

        def stored(shape: tuple[int, ...], dtype: str) -> Stored:
            return Stored(shape, "int32") if dtype == "int64" else Stored(shape, "int8", last and len(shape) >= 3)

        values = [value for value in operands if isinstance(value, Value)]
        wanted = [stored(value.shape, value.dtype) for value in values]
        args = [fetch(self.builder, value, to.order, to.dtype) for value, to in zip(values, wanted, strict=True)]
        types = list(call.ty.fields) if isinstance(call.ty, relax.TupleType) else [call.ty]
        given = [stored(tuple(int(dim) for dim in type_.shape), str(type_.dtype)) for type_ in types]
        out = [relax.TensorType(held.physical, held.dtype) for held in given]
        result = self.builder.emit(relax.op.call_dps_packed(call.op.name_hint, args, out), name)
        parts = [result] if len(out) == 1 else [self.builder.emit(TupleGetItem(result, i)) for i in range(len(out))]
        held = [
            _hold(self.builder.emit(relax.op.astype(part, "int64")))
            if to.dtype == "int32"
            else Value.at(to, str(type_.dtype), part)
            for to, type_, part in zip(given, types, parts, strict=True)
        ]
        return held[0] if isinstance(call.ty, relax.TensorType) else [*held]

    def kernel(self, region: Region, inputs: list[Held], var: relax.Var, width: int | None = None) -> Value | None:
        """Emit the kernel that computes ``var``; None where there is none. width : channels, if wider.

        A product that is joined with what follows computes that instead, unless a sparse kernel takes it.
        """
        values = [value for value in inputs if isinstance(value, Value)]
        if not _is_static(var.ty) or len(values) < len(inputs):
            return None
        wanted = wants(region, tuple(value.stored for value in values), self.target)
        out_shape = tuple(int(dim) for dim in var.ty.shape)
        if width is not None:
            out_shape = (out_shape[0], width, *out_shape[2:])
        kernel = self.sparse(region, wanted, out_shape, var.name) if self.sparsity else None
        join = self.joins.get(var) if kernel is None else None
        if join is not None and isinstance(other := self.operand(join.other), Value):
            region, values = join.region_with(region), [*values, other]
            wanted = wants(region, tuple(value.stored for value in values), self.target)
            self.products[join.result.name], var = var.name, join.result
        if isinstance(region, Quantize) and (around := self.margins.get(var)) is not None:
            kernel = quantized_image(region, wanted, around, self.target)
        kernel = kernel or lower(region, wanted, out_shape, self.target)
        if kernel is None:
            return None
        value = self.emit(region, kernel, values, wanted, var)
        if isinstance(region, Residual):
            self.joined[var] = value
        return value

    def emit(
        self, region: Region, kernel: Kernel, inputs: Sequence[Value], wanted: Sequence[Stored], var: relax.Var
    ) -> Value:
        """Emit the call of a kernel for inputs stored as wanted. var : what it computes."""
        elementwise = isinstance(region, Quantize | Dequantize) and kernel.out.margins is None
        pattern = ELEMENTWISE if elementwise else OPAQUE
        func = kernel.func.without_attr("global_symbol").with_attr({"op_pattern": pattern, "tvmopt.kind": region.kind})
        args = [fetch(self.builder, value, to.order, to.dtype) for value, to in zip(inputs, wanted, strict=True)]
        args += [constant(array) for array in kernel.constants]
        *taken, given = kernel.shapes
        args = [self.shaped(arg, shape) for arg, shape in zip(args, taken, strict=True)]
        function = self.builder.add_func(func, f"tvmopt_{region.kind}")  # equal kernels become one function
        out = self.builder.emit(relax.call_tir(function, args, relax.TensorType(given, kernel.out.dtype)), var.name)
        return Value.at(kernel.out, str(var.ty.dtype), self.shaped(out, kernel.out.physical))

    def sparse(
        self, region: Region, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], name: str
    ) -> Kernel | None:
        """The kernel that skips zero weights; None where the dense one is faster."""
        choice = sparse.lower(region, inputs, out_shape, self.target)
        if choice is None:
            return None
        self.formats[name] = choice.why
        self.counts["sparse"] += choice.kernel is not None
        return choice.kernel

    def shaped(self, expr: relax.Expr, shape: tuple[int, ...]) -> relax.Expr:
        """A tensor as another of the same elements: a kernel may see rows where there is an image."""
        same = tuple(int(dim) for dim in expr.ty.shape) == shape
        return expr if same else self.builder.emit(relax.op.reshape(expr, shape))

    def operand(self, expr: relax.Expr) -> Held:
        if isinstance(expr, Tuple):
            return [self.operand(field) for field in expr.fields]
        if isinstance(expr, TupleGetItem):
            fields = self.operand(expr.tuple_value)
            if isinstance(fields, list):
                return fields[expr.index]
            return _hold(self.builder.emit(TupleGetItem(fields, expr.index)))
        return self.held[expr] if expr in self.held else _hold(expr)

    def plain(self, held: Held) -> relax.Expr:
        """An expression of the new ``main`` that has its tensors as ONNX has them."""
        if isinstance(held, list):
            return Tuple([self.plain(part) for part in held])
        return original(self.builder, held) if isinstance(held, Value) else held


def _hold(expr: relax.Expr) -> Held:
    """An expression of the new ``main`` that has its tensors as ONNX has them."""
    return Value.of(expr) if isinstance(expr.ty, relax.TensorType) and _is_static(expr.ty) else expr


def _max_pool(call: Call) -> Region | None:
    """The region of a maximum over windows of an 8-bit tensor, whatever its scale."""
    name = getattr(call.op, "name", "")
    if name not in ("relax.nn.max_pool1d", "relax.nn.max_pool2d") or str(call.ty.dtype) not in ("int8", "uint8"):
        return None
    attrs = call.attrs
    if not attrs.layout == attrs.out_layout in ("NCW", "NCHW"):
        return None
    x = QParams.per_tensor(1, 0, str(call.ty.dtype))
    kernel, strides, padding, dilations = (
        tuple(map(int, given)) for given in (attrs.pool_size, attrs.strides, attrs.padding, attrs.dilation)
    )
    return Pool("max", x, x, kernel, strides, padding, dilations, bool(attrs.ceil_mode))


def _is_static(ty: relax.Type) -> bool:
    """Whether it is a tensor, or a tuple of tensors, of known shapes."""
    if isinstance(ty, relax.TupleType):
        return all(_is_static(field) for field in ty.fields)
    shape = ty.shape if isinstance(ty, relax.TensorType) else None
    return shape is not None and all(isinstance(dim, IntImm) for dim in shape)
