"""Files of `convert model --int8` on a stock interpreter with the delegate, beside LCE's own."""

import numpy as np
import pytest

from tests.convert.int8_models import SHAPE, converted, mixed_net, sign_net
from tests.convert.models import images


@pytest.mark.parametrize("build", [mixed_net, sign_net])
@pytest.mark.parametrize("io", ["float", "int8"])
def test_int8_file_agrees_with_lce_bit_for_bit(onebit_delegate, lce, build, io):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    file = converted(build, scope="all", io=io).tflite
    # XNNPACK rounds int8 sums by another rule than the kernels that LCE was built with.
    interpreter = Interpreter(
        model_content=file,
        experimental_delegates=[onebit_delegate.load()],
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    for image in images(8, SHAPE, 9):
        x = image[np.newaxis]
        if io == "int8":
            x = np.round(x * 127).astype(np.int8)
        interpreter.set_tensor(source["index"], x)
        interpreter.invoke()
        (expected,) = lce(file, x)
        np.testing.assert_array_equal(interpreter.get_tensor(target["index"]), expected)
