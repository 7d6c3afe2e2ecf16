"""LSTM, GRU and RNN over a sequence of known length -> their steps, one after the other.

What the input gives to the gates is one product for all steps; a step multiplies its state only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from ..contrib import DOMAIN
from ..converters import why_refused
from ..fold import constant
from .activations import Function, activations
from .builder import Builder, Rule, static_shape
from .matmul import dequantize_operand

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _recurrent(to: Builder) -> Sequence[ir.Value] | None:
    """LSTM, GRU, RNN (opset 7, 14, 22) -> MatMul of the whole input; of each step MatMul and elementwise operators.

    DynamicQuantizeLSTM (com.microsoft) likewise, with DynamicQuantizeLinear before each product with a dequantized
    weight: there is one scale for the whole input, and one for the state of each step.
    """
    node, x = to.node, to.input(0)
    sizes = static_shape(x)
    if x is None or sizes is None or static_shape(to.input(2)) is None or why_refused(node) is not None:
        return None
    kind = node.op_type.removeprefix("DynamicQuantize")
    initial = [to.input(5), to.input(6)] if kind == "LSTM" else [to.input(5)]
    batch_first = node.attributes.get_int("layout", 0) == 1
    if batch_first:
        x, sizes = to.op("Transpose", x, perm=[1, 0, 2]), (sizes[1], sizes[0], sizes[2])
        initial = [state and to.op("Transpose", state, perm=[1, 0, 2]) for state in initial]
    direction = node.attributes.get_string("direction", "forward").lower()
    backwards = [False, True] if direction == "bidirectional" else [direction == "reverse"]
    results = [
        _Direction(to, kind, number, sizes, functions).run(x, initial, backward)
        for number, (functions, backward) in enumerate(zip(activations(to, len(backwards)), backwards, strict=True))
    ]
    axes, perms = (1, 0, 0), ([2, 0, 1, 3], [1, 0, 2], [1, 0, 2])
    outputs = [_joined(to, values, axis) for values, axis in zip(zip(*results, strict=True), axes, strict=False)]
    if batch_first:
        outputs = [to.op("Transpose", value, perm=perm) for value, perm in zip(outputs, perms, strict=False)]
    return [to.op("Identity", value) for value in outputs[: len(node.outputs)]]


class _Direction:
    """One direction of a node.

    sizes     : of the input, [steps, batch, features].
    functions : activations, in the operator's order.
    """

    def __init__(
        self, to: Builder, kind: str, number: int, sizes: tuple[int, ...], functions: Sequence[Function]
    ) -> None:
        self.to, self.kind, self.number, self.functions = to, kind, number, functions
        self.steps, self.batch, _ = sizes
        shape = static_shape(to.input(2))
        assert shape is not None
        self.hidden = min(shape[1:])
        self.one = to.filled(1, (), like=to.input(0))
        self.before_reset = kind == "GRU" and to.node.attributes.get_int("linear_before_reset", 0) != 0

    def run(self, x: ir.Value, initial: list[ir.Value | None], backward: bool) -> list[ir.Value]:
        """All hidden states [steps, 1, batch, hidden], and the last of each state [1, batch, hidden]."""
        to, gates = self.to, _GATES[self.kind]
        zeros = to.filled(0, (1, self.batch, self.hidden), like=to.input(0))
        states = [zeros if state is None else _part(to, state, 0, self.number) for state in initial]
        inputs = self.product(1, 0, gates)(x)
        bias, recurrent_bias = self.biases()
        if bias is not None and recurrent_bias is not None:
            inputs = to.op("Add", inputs, bias if self.before_reset else to.op("Add", bias, recurrent_bias))
        step = {"LSTM": self.lstm, "GRU": self.gru, "RNN": self.rnn}[self.kind](recurrent_bias)
        hidden = {}
        for t in range(self.steps)[:: -1 if backward else 1]:
            states = step(_part(to, inputs, 0, t), *states)
            hidden[t] = states[0]
        every = _joined(to, [hidden[t] for t in range(self.steps)], 0)
        return [to.op("Reshape", every, _integers(to, self.steps, 1, self.batch, self.hidden)), *states]

    def rnn(self, _: ir.Value | None) -> Callable[..., list[ir.Value]]:
        """``H = f(x + H R)``."""
        (f,), product = self.functions, self.product(2, 0, 1)
        return lambda x, h: [f(self.to.op("Add", x, product(h)))]

    def lstm(self, _: ir.Value | None) -> Callable[..., list[ir.Value]]:
        """``C = f(F) C + f(I) g(G), H = f(O) h(C)``, where I, O, F, G are ``x + H R``; and peepholes, P C, of three."""
        op, (f, g, h), product = self.to.op, self.functions, self.product(2, 0, 4)
        coupled = self.to.node.attributes.get_int("input_forget", 0) != 0
        peepholes = self.to.input(7)
        weights = [] if peepholes is None else self.parts(self.vector(peepholes, 3), 0, 3)

        def seen(gate: ir.Value, number: int, state: ir.Value) -> ir.Value:
            return op("Add", gate, op("Mul", weights[number], state)) if weights else gate

        def step(x: ir.Value, hidden: ir.Value, cell: ir.Value) -> list[ir.Value]:
            i, o, forget, new = self.parts(op("Add", x, product(hidden)), 2, 4)
            i = f(seen(i, 0, cell))
            kept = op("Sub", self.one, i) if coupled else f(seen(forget, 2, cell))
            cell = op("Add", op("Mul", kept, cell), op("Mul", i, g(new)))
            return [op("Mul", f(seen(o, 1, cell)), h(cell)), cell]

        return step

    def gru(self, bias: ir.Value | None) -> Callable[..., list[ir.Value]]:
        """``H = (1 - Z) N + Z H``, where the gates Z and S are ``f(x + H R)``, and N is ``g(x + (S H) R)``, or
        ``g(x + S (H R + bias))`` with linear_before_reset."""
        op, (f, g) = self.to.op, self.functions
        if self.before_reset:
            whole = self.product(2, 0, 3)
        else:
            both, last = self.product(2, 0, 2), self.product(2, 2, 3)

        def step(x: ir.Value, hidden: ir.Value) -> list[ir.Value]:
            if self.before_reset:
                found = whole(hidden) if bias is None else op("Add", whole(hidden), bias)
                gates = [*zip(self.parts(x, 2, 3), self.parts(found, 2, 3), strict=True)]
                z, reset = (f(op("Add", *pair)) for pair in gates[:2])
                new = g(op("Add", gates[2][0], op("Mul", reset, gates[2][1])))
            else:
                z, reset = self.parts(f(op("Add", _part(self.to, x, 2, 0, 2 * self.hidden), both(hidden))), 2, 2)
                new = g(op("Add", _part(self.to, x, 2, 2, self.hidden), last(op("Mul", reset, hidden))))
            return [op("Add", op("Mul", op("Sub", self.one, z), new), op("Mul", z, hidden))]

        return step

    def product(self, index: int, first: int, last: int) -> Function:
        """The product with a weight, the node's input ``index``, of the gates from ``first`` up to ``last``."""
        to, weight = self.to, self.weight(index, first, last)

        def multiply(value: ir.Value) -> ir.Value:
            array = constant(value)
            if array is not None and not array.any():  # a state that begins with zeros
                return to.constant(np.zeros((*array.shape[:-1], (last - first) * self.hidden), array.dtype))
            if to.node.domain == DOMAIN:
                value = to.dequantize(*to.op_multi("DynamicQuantizeLinear", [value], 3))
            return to.op("MatMul", value, weight)

        return multiply

    def weight(self, index: int, first: int, last: int) -> ir.Value:
        """[features, gates * hidden], dequantized if need be."""
        to, gates = self.to, _GATES[self.kind]
        stored = to.input(index)
        assert stored is not None
        if to.node.domain == DOMAIN:
            arrays = [constant(to.input(i)) for i in (index, 6 + 2 * index, 7 + 2 * index)]
            b, scale, zero = (None if array is None else to.constant(array[self.number]) for array in arrays)
            assert b is not None and scale is not None
            dequantized = dequantize_operand(to, b, scale, zero, per=-1)
            assert dequantized is not None
            return dequantized
        own = to.op("Reshape", _part(to, stored, 0, self.number), _integers(to, gates * self.hidden, -1))
        if (count := last - first) < gates:
            own = _part(to, own, 0, first // count, count * self.hidden)
        return to.op("Transpose", own, perm=[1, 0])

    def biases(self) -> tuple[ir.Value | None, ir.Value | None]:
        """Of the products with the input and with the state, [gates * hidden]."""
        gates, bias = _GATES[self.kind], self.to.input(3)
        if bias is None:
            return None, None
        both = self.vector(bias, 2 * gates)
        return _part(self.to, both, 0, 0, gates * self.hidden), _part(self.to, both, 0, 1, gates * self.hidden)

    def vector(self, stored: ir.Value, parts: int) -> ir.Value:
        """This direction's row of a matrix, ``parts`` times the hidden size."""
        own = _part(self.to, stored, 0, self.number)
        return self.to.op("Reshape", own, _integers(self.to, parts * self.hidden))

    def parts(self, value: ir.Value, axis: int, count: int) -> list[ir.Value]:
        """What belongs to each gate."""
        return [_part(self.to, value, axis, number, self.hidden) for number in range(count)]


def _part(to: Builder, value: ir.Value, axis: int, number: int, size: int = 1) -> ir.Value:
    """Of a tensor cut into parts of ``size`` along an axis, one."""
    begin, end = number * size, (number + 1) * size
    if to.opset < 10:
        return to.op("Slice", value, axes=[axis], starts=[begin], ends=[end])
    return to.op("Slice", value, *(_integers(to, number) for number in (begin, end, axis)))


def _joined(to: Builder, values: Sequence[ir.Value], axis: int) -> ir.Value:
    return to.op("Concat", *values, axis=axis) if len(values) > 1 else values[0]


def _integers(to: Builder, *numbers: int) -> ir.Value:
    return to.constant(np.array(numbers, np.int64))


RULES: dict[tuple[str, str], Rule] = {
    ("", "GRU"): _recurrent,
    ("", "LSTM"): _recurrent,
    ("", "RNN"): _recurrent,
    (DOMAIN, "DynamicQuantizeLSTM"): _recurrent,
}
