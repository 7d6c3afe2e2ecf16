"""Canonicalize, HoistQuantize, SinkDequantize and FusePad on small graphs, before and after."""

import numpy as np
import tvm
from tvm.script import ir as I
from tvm.script import relax as R

from tvmopt.passes.canonicalize import Canonicalize
from tvmopt.passes.fuse_pad import FusePad
from tvmopt.passes.hoist_quantize import HoistQuantize
from tvmopt.passes.sink_dequantize import SinkDequantize
from tvmopt.quant.relax_form.scope import constant

S, Z = R.const(0.5, "float32"), R.const(3, "int8")
S2 = R.const(0.25, "float32")
SCALES = R.const(np.array([0.5, 0.25], np.float32))
ZEROS = R.const(np.array([1, 2], np.int8))
WEIGHT = np.arange(12, dtype=np.int8).reshape(2, 6)
WEIGHT_CONST, TURNED_CONST = R.const(WEIGHT), R.const(np.ascontiguousarray(WEIGHT.T))


def check(rewrite, before, expected):
    after = rewrite(before)
    tvm.ir.assert_structural_equal(after, expected)
    tvm.relax.analysis.well_formed(after)


def test_dequantize_sinks_below_moves_and_meets_quantize():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2, 3, 4), "int8")):
            with R.dataflow():
                a = R.dequantize(x, S, Z, axis=-1)
                b = R.permute_dims(a, [0, 2, 3, 1])
                c = R.reshape(b, (12, 2))
                d = R.quantize(c, S, Z, axis=-1, out_dtype="int8")
                e = R.quantize(c, S2, Z, axis=-1, out_dtype="int8")
                out = d, e
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((1, 2, 3, 4), "int8")):
            with R.dataflow():
                b = R.permute_dims(x, [0, 2, 3, 1])
                d = R.reshape(b, (12, 2))
                c = R.dequantize(d, S, Z, axis=-1)
                e = R.quantize(c, S2, Z, axis=-1, out_dtype="int8")
                out = d, e
                R.output(out)
            return out

    check(SinkDequantize(), Before, Expected)
    names = [b.var.name for b in SinkDequantize()(Before)["main"].body.blocks[0].bindings]
    assert names == ["b", "d", "c", "e", "out"]  # the moved tensor has the name of the quantized value it is


def test_split_and_concat_of_the_same_parameters():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 4), "int8")):
            with R.dataflow():
                a = R.dequantize(x, S, Z, axis=-1)
                parts = R.split(a, 2, axis=1)
                left = parts[0]
                right = parts[1]
                joined = R.concat((right, left), axis=1)
                out = R.quantize(joined, S, Z, axis=-1, out_dtype="int8")
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((1, 4), "int8")):
            with R.dataflow():
                parts = R.split(x, 2, axis=1)
                left = parts[0]
                right = parts[1]
                joined = R.concat((right, left), axis=1)
                out = joined
                R.output(out)
            return out

    check(SinkDequantize(), Before, Expected)


def test_a_scale_per_channel_follows_its_axis():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((2, 3), "int8")):
            with R.dataflow():
                a = R.dequantize(x, SCALES, ZEROS, axis=0)
                b = R.permute_dims(a, [1, 0])
                c = R.reshape(b, (3, 1, 2))
                out = R.reshape(c, (6,))
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((2, 3), "int8")):
            with R.dataflow():
                b = R.permute_dims(x, [1, 0])
                c = R.reshape(b, (3, 1, 2))
                d = R.dequantize(c, SCALES, ZEROS, axis=2)
                out = R.reshape(d, (6,))
                R.output(out)
            return out

    check(SinkDequantize(), Before, Expected)


def test_moves_of_constant_weights_are_done_now():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 6), "float32")):
            with R.dataflow():
                w = R.dequantize(WEIGHT_CONST, S, Z, axis=-1)
                t = R.permute_dims(w, [1, 0])
                out = R.matmul(x, t)
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((1, 6), "float32")):
            with R.dataflow():
                t = R.dequantize(TURNED_CONST, S, Z, axis=-1)
                out = R.matmul(x, t)
                R.output(out)
            return out

    check(SinkDequantize(), Before, Expected)


def test_padding_needs_a_value_that_can_be_stored():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2), "int8")):
            with R.dataflow():
                a = R.dequantize(x, S, Z, axis=-1)
                zero = R.nn.pad(a, [0, 0, 1, 1], "constant", 0.0)
                half = R.nn.pad(zero, [0, 0, 1, 1], "constant", 1.5)
                out = R.nn.pad(half, [0, 0, 1, 1], "constant", 0.3)
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((1, 2), "int8")):
            with R.dataflow():
                zero = R.nn.pad(x, [0, 0, 1, 1], "constant", 3.0)
                half = R.nn.pad(zero, [0, 0, 1, 1], "constant", 6.0)
                real = R.dequantize(half, S, Z, axis=-1)
                out = R.nn.pad(real, [0, 0, 1, 1], "constant", 0.3)
                R.output(out)
            return out

    check(SinkDequantize(), Before, Expected)


def test_different_parameters_stay_apart():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2), "int8"), y: R.Tensor((1, 2), "int8")):
            with R.dataflow():
                a = R.dequantize(x, S, Z, axis=-1)
                b = R.dequantize(y, S2, Z, axis=-1)
                out = R.concat((a, b), axis=1)
                R.output(out)
            return out

    check(SinkDequantize(), Before, Before)


def test_quantize_rises_above_moves_of_computed_values():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2, 2), "float32"), y: R.Tensor((1, 2, 2), "int8")):
            with R.dataflow():
                a = R.nn.softmax(x, axis=-1)
                b = R.permute_dims(a, [0, 2, 1])
                c = R.dequantize(y, S2, Z, axis=-1)
                d = R.concat((b, c), axis=1)
                e = R.nn.pad(d, [0, 0, 1, 0, 0, 0], "constant", 1.0)
                out = R.quantize(e, S, Z, axis=-1, out_dtype="int8")
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((1, 2, 2), "float32"), y: R.Tensor((1, 2, 2), "int8")):
            with R.dataflow():
                a = R.nn.softmax(x, axis=-1)
                c = R.dequantize(y, S2, Z, axis=-1)
                aq = R.quantize(a, S, Z, axis=-1, out_dtype="int8")
                b = R.permute_dims(aq, [0, 2, 1])
                cq = R.quantize(c, S, Z, axis=-1, out_dtype="int8")
                d = R.concat((b, cq), axis=1)
                out = R.nn.pad(d, [0, 0, 1, 0, 0, 0], "constant", 5.0)
                R.output(out)
            return out

    check(HoistQuantize(), Before, Expected)


def test_quantize_stays_below_a_move_that_is_used_twice():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2, 2), "float32")):
            with R.dataflow():
                a = R.nn.softmax(x, axis=-1)
                b = R.permute_dims(a, [0, 2, 1])
                c = R.quantize(b, S, Z, axis=-1, out_dtype="int8")
                out = b, c
                R.output(out)
            return out

    check(HoistQuantize(), Before, Before)


def test_constants_are_folded_but_not_weights():
    three, index = R.const(3.0, "float32"), constant(np.array([1, 0]))
    minus, size, none = constant(np.array([-1, 0])), R.const(1, "int64"), R.const(0, "int64")

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((2, 2), "float32")):
            with R.dataflow():
                w = R.dequantize(WEIGHT_CONST, S, Z, axis=-1)
                b = R.add(R.const(1.0, "float32"), R.const(2.0, "float32"))
                shape = R.shape_of(x)
                sizes = R.shape_to_tensor(shape)
                extent = R.take(sizes, size, axis=0)
                negative = R.less(minus, none)
                wrapped = R.add(minus, extent)
                chosen = R.where(negative, wrapped, minus)
                y = R.take(x, chosen, axis=1)
                z = R.multiply(y, b)
                out = R.matmul(z, w)
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((2, 2), "float32")):
            with R.dataflow():
                w = R.dequantize(WEIGHT_CONST, S, Z, axis=-1)
                y = R.take(x, index, axis=1)
                z = R.multiply(y, three)
                out = R.matmul(z, w)
                R.output(out)
            return out

    check(Canonicalize(), Before, Expected)


def test_a_mean_keeps_its_axes_and_is_squeezed():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2, 3, 4), "float32")):
            with R.dataflow():
                out = R.mean(x, [-1, 2], keepdims=False)
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((1, 2, 3, 4), "float32")):
            with R.dataflow():
                kept = R.mean(x, [3, 2], keepdims=True)
                out = R.squeeze(kept, [3, 2])
                R.output(out)
            return out

    check(Canonicalize(), Before, Expected)


def test_padding_with_the_zero_point_is_the_convolution_s():
    weight = R.const(np.ones((1, 1, 3, 3), np.int8))

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 1, 8, 8), "int8")):
            with R.dataflow():
                p = R.nn.pad(x, [0, 0, 0, 0, 1, 2, 3, 4], "constant", 3.0)
                other = R.nn.pad(x, [0, 0, 0, 0, 1, 1, 1, 1], "constant", 4.0)
                a = R.dequantize(p, S, Z, axis=-1)
                b = R.dequantize(other, S, Z, axis=-1)
                w = R.dequantize(weight, S, Z, axis=-1)
                y = R.nn.conv2d(a, w, padding=[1, 0, 0, 0])
                z = R.nn.conv2d(b, w)
                out = y, z
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((1, 1, 8, 8), "int8")):
            with R.dataflow():
                other = R.nn.pad(x, [0, 0, 0, 0, 1, 1, 1, 1], "constant", 4.0)
                b = R.dequantize(other, S, Z, axis=-1)
                w = R.dequantize(weight, S, Z, axis=-1)
                a = R.dequantize(x, S, Z, axis=-1)
                y = R.nn.conv2d(a, w, padding=[2, 3, 2, 4])
                z = R.nn.conv2d(b, w)
                out = y, z
                R.output(out)
            return out

    check(FusePad(), Before, Expected)
