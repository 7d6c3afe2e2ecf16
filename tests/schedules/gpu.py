"""Runs kernels for GPUs without one: all threads at once in numpy, instruction by instruction.

What is run is the TIR that TVM turns into CUDA C++. A value is an array with an element per thread of the grid. The
instructions of warps are in ``warp.py``, as the PTX ISA has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import tirx
from tvm.ir import Call, StringImm
from tvm.tirx import FloatImm, IntImm
from tvm_ffi import structural_walk

from tvmopt.target import Target

from . import warp
from .memory import Grid, Masked, Memory, Pointer


class Kernel:
    """Runs one kernel function."""

    def __init__(self, func: tirx.PrimFunc, arguments: Sequence[Memory], shared: int) -> None:
        """shared : bytes of shared memory that a block may have."""
        extents: dict[str, int] = {}

        def note(attr: tirx.AttrStmt) -> None:
            if attr.attr_key == "thread_extent":
                extents[str(attr.node.thread_tag)] = int(attr.value)

        structural_walk(func.body, (tirx.AttrStmt, note))
        self.extents = extents
        for tag, extent in extents.items():
            assert extent <= _LIMITS[tag], f"a grid of {extent} in {tag}"
        threads = int(np.prod([n for tag, n in extents.items() if tag.startswith("threadIdx")]))
        assert threads <= 1024, f"a block of {threads} threads"
        self.grid = Grid(int(np.prod([n for tag, n in extents.items() if tag.startswith("blockIdx")])), threads)
        self.values: dict[Any, Any] = {}
        for param, memory in zip(func.params, arguments, strict=True):
            self.values[param] = memory
        self.run(func.body)
        self.grid.finish()
        self.grid.shared = sum(
            m.data.nbytes // len(m.data) for m in set(self.grid.memory.values()) if m.scope == "shared"
        )
        assert self.grid.shared <= shared, f"{self.grid.shared} bytes of shared memory"

    def run(self, stmt: tirx.Stmt) -> None:
        getattr(self, f"do_{type(stmt).__name__}")(stmt)

    def do_SeqStmt(self, stmt: tirx.SeqStmt) -> None:
        for each in stmt.seq:
            self.run(each)

    def do_AttrStmt(self, stmt: tirx.AttrStmt) -> None:
        if stmt.attr_key == "thread_extent":
            tag = str(stmt.node.thread_tag)
            own, axes = (self.grid.thread % self.grid.threads, "threadIdx"), ("x", "y", "z")
            if tag.startswith("blockIdx"):
                own = (self.grid.block, "blockIdx")
            index, prefix = own
            for axis in axes:
                extent = self.extents.get(f"{prefix}.{axis}", 1)
                if tag == f"{prefix}.{axis}":
                    self.values[stmt.node.var] = index % extent
                index = index // extent
        self.run(stmt.body)

    def do_AllocBuffer(self, stmt: tirx.AllocBuffer) -> None:
        self._allocate(stmt.buffer)

    def do_DeclBuffer(self, stmt: tirx.DeclBuffer) -> None:
        memory = self.value(stmt.data)
        assert memory.data.dtype == _dtype(stmt.buffer.dtype), f"{memory.name}: elements of another size"
        self.grid.memory[stmt.buffer] = memory

    def _allocate(self, buffer: Any) -> None:
        scope = str(buffer.scope()).removesuffix(".dyn")
        owners = self.grid.count if scope == "local" else self.grid.count // self.grid.threads
        size = int(np.prod([int(extent) for extent in buffer.shape])) * _lanes(buffer)
        self.grid.memory[buffer] = Memory(buffer.name, scope, np.zeros((owners, size), _dtype(buffer.dtype)))

    def do_Bind(self, stmt: tirx.Bind) -> None:
        self.values[stmt.var] = self.value(stmt.value)

    def do_For(self, stmt: tirx.For) -> None:
        for i in range(_uniform(self.value(stmt.min)), _uniform(self.value(stmt.min) + self.value(stmt.extent))):
            self.values[stmt.loop_var] = np.int64(i)
            self.run(stmt.body)

    def do_IfThenElse(self, stmt: tirx.IfThenElse) -> None:
        where = np.broadcast_to(self.value(stmt.condition), self.grid.count).astype(bool)
        with Masked(self.grid, where) as any_of_them:
            if any_of_them:
                self.run(stmt.then_case)
        if stmt.else_case is not None:
            with Masked(self.grid, ~where) as any_of_them:
                if any_of_them:
                    self.run(stmt.else_case)

    def do_BufferStore(self, stmt: tirx.BufferStore) -> None:
        index = self.index(stmt.buffer, stmt.indices)
        value = self.value(stmt.value)
        memory = self.grid.memory[stmt.buffer]
        if isinstance(index, list):
            values = value if isinstance(value, list) else [value] * len(index)
            if isinstance(stmt.indices[0], tirx.Ramp) and int(stmt.indices[0].stride) == 1:
                # which is one store, whatever the address; loads become several where TVM cannot tell
                self.grid.aligned(Pointer(memory, index[0]), min(16, len(index) * memory.data.itemsize), "a vector")
            for i, v in zip(index, values, strict=True):
                self.grid.store(Pointer(memory, i), v)
        else:
            self.grid.store(Pointer(memory, index), value)

    def index(self, buffer: Any, indices: Sequence[Any]) -> Any:
        """Where an element lies, or a list of where a vector's elements do; TVM makes some buffers ones of vectors."""
        (index,) = (self.value(i) for i in indices)
        lanes = _lanes(buffer)
        return index if lanes == 1 else [index * lanes + i for i in range(lanes)]

    def do_Evaluate(self, stmt: tirx.Evaluate) -> None:
        self.value(stmt.value)

    def value(self, expr: Any) -> Any:
        """An expression's value: a scalar, an array with an element per thread, or a list of them for a vector."""
        if expr in self.values:
            return self.values[expr]
        name = type(expr).__name__
        if name in _BINARY:
            return _map(_quiet(_BINARY[name]), self.value(expr.a), self.value(expr.b))
        return getattr(self, f"of_{name}")(expr)

    def of_IntImm(self, expr: IntImm) -> Any:
        return _dtype(expr.ty.dtype).type(expr.value)

    def of_FloatImm(self, expr: FloatImm) -> Any:
        return _dtype(expr.ty.dtype).type(expr.value)

    def of_StringImm(self, expr: StringImm) -> str:
        return str(expr.value)

    def of_Cast(self, expr: Any) -> Any:
        dtype = _dtype(expr.ty.dtype)
        return _map(lambda x: np.asarray(x).astype(dtype)[()], self.value(expr.value))

    def of_Ramp(self, expr: Any) -> list[Any]:
        base, stride = self.value(expr.base), self.value(expr.stride)
        return [base + stride * i for i in range(int(expr.lanes))]

    def of_Broadcast(self, expr: Any) -> list[Any]:
        return [self.value(expr.value)] * int(expr.lanes)

    def of_Let(self, expr: Any) -> Any:
        self.values[expr.var] = self.value(expr.value)
        return self.value(expr.body)

    def of_Select(self, expr: Any) -> Any:
        return _map(np.where, *(self.value(e) for e in (expr.condition, expr.true_value, expr.false_value)))

    def of_Not(self, expr: Any) -> Any:
        return np.logical_not(self.value(expr.a))

    def of_TensorLoad(self, expr: Any) -> Any:
        memory = self.grid.memory[expr.source] if expr.source in self.grid.memory else self.values[expr.source]
        index = self.index(expr.source, expr.indices)
        return _map(lambda i: self.grid.load(Pointer(memory, i)), index)

    def of_Call(self, expr: Call) -> Any:
        name = str(expr.op.name).removeprefix("tirx.").removeprefix("prim.")
        if name == "if_then_else":
            return self._branch(*expr.args)
        if name == "address_of":
            (load,) = expr.args
            (index,) = (self.value(i) for i in load.indices)
            return Pointer(self.grid.memory[load.source], index)
        if name == "buffer_data":
            return self.grid.memory[expr.args[0]]
        if name in ("cuda.func_call", "call_pure_extern"):
            function, *args = (self.value(arg) for arg in expr.args)
            return warp.FUNCTIONS[function](self.grid, *(args[:-1] if name == "cuda.func_call" else args))  # its text
        if name == "tvm_storage_sync":
            return self.grid.barrier()
        if name == "reinterpret":
            dtype = _dtype(expr.ty.dtype)
            return _map(lambda x: np.asarray(x).view(dtype)[()], self.value(expr.args[0]))
        return _map(_CALLS[name], *(self.value(arg) for arg in expr.args))

    def _branch(self, condition: Any, then: Any, otherwise: Any) -> Any:
        where = np.broadcast_to(self.value(condition), self.grid.count)
        with Masked(self.grid, where):
            yes = self.value(then)
        with Masked(self.grid, ~where):
            no = self.value(otherwise)
        return _map(lambda a, b: np.where(where, a, b), yes, no)


def _quiet(operation: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*operands: Any) -> Any:
        with np.errstate(all="ignore"):
            return operation(*operands)

    return apply


# CUDA C++ Programming Guide, "Compute Capabilities": the same for all.
_LIMITS = {"blockIdx.x": 2**31 - 1, "blockIdx.y": 65535, "blockIdx.z": 65535}
_LIMITS |= {"threadIdx.x": 1024, "threadIdx.y": 1024, "threadIdx.z": 64}

_BINARY = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,  # of floats; TVM has FloorDiv for integers here
    "FloorDiv": np.floor_divide,
    "FloorMod": np.mod,
    "Min": np.minimum,
    "Max": np.maximum,
    "EQ": np.equal,
    "NE": np.not_equal,
    "LT": np.less,
    "LE": np.less_equal,
    "GT": np.greater,
    "GE": np.greater_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "LShift": np.left_shift,
    "RShift": np.right_shift,
}
_CALLS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "tanh": np.tanh,
    "likely": lambda x: x,
}


def _map(function: Callable[..., Any], *values: Any) -> Any:
    """``function`` of every lane, where any of ``values`` is a vector."""
    if not any(isinstance(value, list) for value in values):
        return function(*values)
    lanes = max(len(value) for value in values if isinstance(value, list))
    rows = [value if isinstance(value, list) else [value] * lanes for value in values]
    return [function(*row) for row in zip(*rows, strict=True)]


def _uniform(value: Any) -> int:
    assert np.all(np.asarray(value) == np.asarray(value).flat[0]), "threads differ in how often they loop"
    return int(np.asarray(value).flat[0])


def _lanes(buffer: Any) -> int:
    _, _, lanes = str(buffer.dtype).partition("x")
    return int(lanes or 1)


def _dtype(dtype: Any) -> np.dtype:
    return np.dtype(str(dtype).split("x")[0])


@tvm.instrument.pass_instrument
class _Split:
    """Keeps the module that has been split into the host's functions and the kernels."""

    def run_before_pass(self, mod: tvm.ir.IRModule, info: Any) -> None:
        if info.name == "tirx.ConvertSSA":  # which SplitHostDevice calls before it lowers launches
            self.mod = mod


def kernels(func: tirx.PrimFunc, target: Target) -> tvm.ir.IRModule:
    """ "main" as it runs on the host, and the kernels it calls, all as they are turned into code."""
    split = _Split()
    with tvm.transform.PassContext(instruments=[split]):
        tvm.tirx.build(func.with_attr("global_symbol", "main"), target=target.tvm())
    return split.mod


def execute(func: tirx.PrimFunc, target: Target, arguments: Sequence[np.ndarray], out: np.ndarray) -> np.ndarray:
    """Run a scheduled function; ``out`` tells shape and dtype of its output."""
    return run(func, target, arguments, out)[0]


def run(
    func: tirx.PrimFunc, target: Target, arguments: Sequence[np.ndarray], out: np.ndarray
) -> tuple[np.ndarray, list[Grid]]:
    """The same, and the grids of the kernels that ran."""
    grids = []
    mod = kernels(func, target)
    main = mod["main"]
    given = [Memory(f"argument {i}", "given", np.ravel(array)[None]) for i, array in enumerate(arguments)]
    result = Memory("output", "global", np.zeros((1, out.size), out.dtype))
    held: dict[Any, Memory] = dict(zip(main.params, [*given, result], strict=True))

    def memory(expr: Any) -> Memory:
        """What a pointer on the host points to."""
        while isinstance(expr, Call):
            expr = expr.args[0]
        return held[expr]

    def visit(stmt: tirx.Stmt) -> None:
        if isinstance(stmt, tirx.SeqStmt):
            for each in stmt.seq:
                visit(each)
        elif isinstance(stmt, tirx.AttrStmt):
            visit(stmt.body)
        elif isinstance(stmt, tirx.AllocBuffer):
            size = int(np.prod([int(extent) for extent in stmt.buffer.shape]))
            held[stmt.buffer] = Memory(stmt.buffer.name, "global", np.zeros((1, size), _dtype(stmt.buffer.dtype)))
        elif isinstance(stmt, tirx.DeclBuffer):
            held[stmt.buffer] = memory(stmt.data)
        elif isinstance(stmt, tirx.Bind):
            held[stmt.var] = memory(stmt.value)
        else:
            assert isinstance(stmt, tirx.Evaluate), type(stmt)
            pointers = [memory(arg) for arg in stmt.value.args]
            for each in held.values():
                each.forget()
            assert target.cuda is not None
            grids.append(Kernel(mod[stmt.value.op], pointers, target.cuda.shared_kib * 1024).grid)

    visit(main.body)
    assert result.known.all(), "an element of the output was not written"
    return result.data.reshape(out.shape), grids
