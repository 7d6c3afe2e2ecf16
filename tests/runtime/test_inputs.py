import numpy as np
import pytest

from tvmopt.errors import InputError
from tvmopt.model import TensorSpec
from tvmopt.runtime.inputs import checked

SPECS = (TensorSpec("x", ("n", 3), "float32"), TensorSpec("y", (2, "n"), "uint8"))
X, Y = np.zeros((4, 3), np.float32), np.zeros((2, 4), np.uint8)


def test_in_the_order_of_the_model():
    arrays = checked({"y": Y, "x": X}, SPECS)
    assert arrays[0] is X
    assert arrays[1] is Y


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"x": X}, "node 'y': no value was given for this input"),
        ({"x": X, "y": Y, "z": Y}, "node 'z': is not an input of this model (inputs: x, y)"),
        ({"x": X.astype("float64"), "y": Y}, "node 'x': has dtype float64, not float32"),
        ({"x": X[0], "y": Y}, "node 'x': has shape [3], not ['n', 3]"),
        ({"x": X, "y": Y[:, :3]}, "node 'y': has shape [2, 3], not [2, 4]"),
    ],
)
def test_errors_name_the_input(inputs, says):
    with pytest.raises(InputError) as error:
        checked(inputs, SPECS)
    assert str(error.value) == says
