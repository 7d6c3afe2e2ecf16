from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Concat

from .harness import check
from .strategies import params, tensor


@given(data=st.data(), axis=st.integers(0, 3), last=st.booleans(), shifted=st.booleans())
@settings(max_examples=40, deadline=None)
def test_random_regions(data, axis, last, shifted):
    y = data.draw(params())
    xs = tuple(y if data.draw(st.booleans()) else data.draw(params()) for _ in range(data.draw(st.integers(1, 4))))
    sizes = [data.draw(st.integers(1, 6)) for _ in xs]
    shapes = [tuple(size if i == axis else dim for i, dim in enumerate((2, 3, 4, 5))) for size in sizes]
    inputs = [tensor(shape, p.dtype, seed) for seed, (shape, p) in enumerate(zip(shapes, xs, strict=True))]
    check(Concat(xs, y, axis), *inputs, last=last, shifted=shifted, threads=1)


def test_one_dimension():
    x, y = QParams.per_tensor(0.5, 1, "int8"), QParams.per_tensor(0.25, -3, "int8")
    check(Concat((x, y), y, 0), tensor((300,), "int8"), tensor((5,), "int8"))
