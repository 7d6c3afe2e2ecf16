"""A lowered model as a flat program: which kernel runs on which tensors, in order. What a C back end needs of Relax."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UnsupportedError
from ..model import Model
from .inplace import size

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True, eq=False)
class Tensor:
    """A piece of memory. Reshapes of a value are the same tensor.

    Attributes
    ----------
    name  : of the Relax variable that defines it.
    bytes : its size.
    input : which model input it is, or None.
    data  : its value when it is a constant, or None.
    """

    name: str
    bytes: int
    input: int | None = None
    data: np.ndarray | None = None

    @property
    def computed(self) -> bool:
        """Whether a kernel writes it."""
        return self.input is None and self.data is None


@dataclass(frozen=True)
class Call:
    """One step: a kernel, and the tensors (indices into ``Program.tensors``) it reads and writes.

    external : the kernel is an accelerator's subgraph, which is compiled elsewhere.
    """

    kernel: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    external: bool = False


@dataclass(frozen=True, eq=False)
class Program:
    """The steps of a model.

    Attributes
    ----------
    tensors : all of them; equal constants appear once.
    calls   : in order.
    outputs : the tensor of each model output.
    kernels : the PrimFuncs, by the names that ``calls`` use; parameters are the reads, then the writes. External ones
              have none.
    """

    tensors: tuple[Tensor, ...]
    calls: tuple[Call, ...]
    outputs: tuple[int, ...]
    kernels: dict[str, tvm.tirx.PrimFunc]


def read(model: Model) -> Program:
    """Read ``main`` of a lowered model: ``call_tir``, ``call_dps_packed``, reshapes, tuples and nothing else.

    Raises UnsupportedError for a symbolic shape, any other operator, or a kernel that calls TVM's runtime.
    """
    return _Reader(model).read()


def last_uses(program: Program) -> dict[int, int]:
    """The last step that reads each tensor; a model output is used after the last step, an unread one never (-1)."""
    last = dict.fromkeys(range(len(program.tensors)), -1)
    for step, call in enumerate(program.calls):
        last |= dict.fromkeys(call.reads, step)
    return last | dict.fromkeys(program.outputs, len(program.calls))


def without_unused(program: Program) -> Program:
    """A program without constants and kernels that nothing uses."""
    used = {t for call in program.calls for t in (*call.reads, *call.writes)} | set(program.outputs)
    kept = [i for i, tensor in enumerate(program.tensors) if i in used or tensor.input is not None]
    number = {old: new for new, old in enumerate(kept)}

    def numbers(tensors: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(number[tensor] for tensor in tensors)

    return Program(
        tuple(program.tensors[i] for i in kept),
        tuple(replace(call, reads=numbers(call.reads), writes=numbers(call.writes)) for call in program.calls),
        numbers(program.outputs),
        {call.kernel: program.kernels[call.kernel] for call in program.calls if not call.external},
    )


class _Reader:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.tensors: list[Tensor] = []
        self.calls: list[Call] = []
        self.constants: dict[tuple[str, bytes], int] = {}  # dtype and digest -> tensor
        self.values: dict[tvm.ir.Var, tuple[int, ...]] = {}  # variable -> its tensors; one, or a tuple's

    def read(self) -> Program:
        import tvm

        main = self.model.mod["main"]
        for index, param in enumerate(main.params):
            self.values[param] = self.add(Tensor(param.name, self.size(param.ty, param.name), input=index))
        for block in main.body.blocks:
            for binding in block.bindings:
                self.values[binding.var] = self.bind(binding.var.name, binding.value)
        kernels = {
            gv.name_hint: func for gv, func in self.model.mod.functions.items() if isinstance(func, tvm.tirx.PrimFunc)
        }
        called = {call.kernel: kernels[call.kernel] for call in self.calls if not call.external}
        for name, kernel in called.items():
            if function := _called(kernel):
                raise self.unsupported(name, f"it calls {function}, a function of TVM's runtime")
        outputs = self.value(main.body.body)
        return Program(tuple(self.tensors), tuple(self.calls), outputs, called)

    def bind(self, name: str, value: tvm.ir.Expr) -> tuple[int, ...]:
        import tvm

        if not isinstance(value, tvm.ir.Call):
            return self.value(value)
        op = getattr(value.op, "name", str(value.op))
        if op in ("relax.call_tir", "relax.call_dps_packed"):
            if len(value.args) > 2:
                raise self.unsupported(name, "a kernel depends on a symbolic shape")
            out = value.ty
            types = list(out.fields) if isinstance(out, tvm.ir.TupleType) else [out]
            reads = self.value(value.args[1])
            writes = tuple(t for type_ in types for t in self.add(Tensor(name, self.size(type_, name))))
            external = isinstance(value.args[0], tvm.relax.ExternFunc)
            function = str(value.args[0].global_symbol) if external else value.args[0].name_hint
            self.calls.append(Call(function, reads, writes, external))
            return writes
        if op == "relax.reshape":
            return self.value(value.args[0])
        raise self.unsupported(name, f"operator {op} was not lowered to a kernel")

    def value(self, value: tvm.ir.Expr) -> tuple[int, ...]:
        """The tensors of a variable, a constant, or a tuple of them."""
        import tvm

        if isinstance(value, tvm.ir.Var):
            return self.values[value]
        if isinstance(value, tvm.ir.Tuple):
            return tuple(t for field in value.fields for t in self.value(field))
        if isinstance(value, tvm.ir.TupleGetItem):
            return (self.value(value.tuple_value)[value.index],)
        if isinstance(value, tvm.ir.GenericConst):
            return self.constant(value.value.numpy())
        raise self.unsupported("main", f"a {type(value).__name__} is not a tensor")

    def constant(self, data: np.ndarray) -> tuple[int, ...]:
        data = np.ascontiguousarray(data)
        key = (str(data.dtype), hashlib.sha256(data.tobytes()).digest())
        if key not in self.constants:
            (self.constants[key],) = self.add(Tensor(f"constant{len(self.constants)}", data.nbytes, data=data))
        return (self.constants[key],)

    def add(self, tensor: Tensor) -> tuple[int]:
        self.tensors.append(tensor)
        return (len(self.tensors) - 1,)

    def size(self, type_: tvm.ir.Type, name: str) -> int:
        """Bytes of a tensor of static shape."""
        import tvm

        shape: Sequence[tvm.ir.Expr] = type_.shape
        if not all(isinstance(dim, tvm.tirx.IntImm) for dim in shape):
            raise self.unsupported(name, f"its shape ({', '.join(map(str, shape))}) is not known when compiling")
        if str(type_.dtype) == "bfloat16":
            raise self.unsupported(name, "C has no bfloat16")
        return size(type_)

    def unsupported(self, node: str, reason: str) -> UnsupportedError:
        return UnsupportedError(reason, file=self.model.source, node=node, hint='backend "vm" may be able to run it')


def _called(kernel: tvm.tirx.PrimFunc) -> str | None:
    """A function of TVM's runtime that a kernel calls, such as a sort."""
    import tvm
    import tvm_ffi

    found: list[str] = []

    def call(node: tvm.ir.Call) -> None:
        if getattr(node.op, "name", "").startswith("tirx.tvm_call_"):
            found.append(str(node.args[0].value))

    tvm_ffi.structural_walk(kernel.body, (tvm.ir.Call, call))
    return found[0] if found else None
