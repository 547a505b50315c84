"""LceBconv2d on a grid of shapes around every kernel's tile, against NumPy and LCE."""

import itertools

import numpy as np
import pytest

from onebit.bits import pack
from tests.support.bconv_problem import DEFAULTS, Problem
from tests.support.kernels import KERNELS, around
from tests.support.lce_graphs import ABSENT, Graph, bconv_options


def case(**changes):
    unknown = set(changes) - set(DEFAULTS)
    assert not unknown, unknown
    return pytest.param(
        DEFAULTS | changes, id=",".join(f"{k}={v}" for k, v in changes.items()).replace(" ", "")
    )


# Sizes around each kernel's tile. A word is 32 channels, a pair 64.
TILES = [(kernel.mr, kernel.nr) for kernel in KERNELS if kernel.op == "bconv"]
# Pixels in a row, and images whose rows end within a tile.
PIXELS = [(1, n) for n in around([mr for mr, _ in TILES])]
PIXELS += [(1, 2), (1, 6), (1, 7), (1, 8), (2, 7), (3, 5), (7, 7), (2, 8), (3, 9), (4, 7), (3, 11)]
PIXELS += [(7, 9), (8, 8), (5, 13), (9, 15)]
CHANNELS_OUT = sorted({*around([nr for _, nr in TILES]), 7, 63, 64, 100})
CHANNELS_IN = [1, 31, 32, 33, 64, 65, 96, 128, 200]
OUTPUTS = ["float", "int8", "bits"]
CASES = [
    *(case(size=s, output=o, kernel=(1, 1)) for s, o in itertools.product(PIXELS, OUTPUTS)),
    *(case(channels_out=c, output=o) for c, o in itertools.product(CHANNELS_OUT, OUTPUTS)),
    *(case(channels_in=c, output=o) for c, o in itertools.product(CHANNELS_IN, OUTPUTS)),
    *(
        case(same=s, pad_values=v, stride=t, dilation=d, output=o, channels_in=c)
        for (s, v), t, d, o, c in itertools.product(
            [(False, 1), (True, 1), (True, 0)],
            [(1, 1), (2, 2), (1, 3)],
            [(1, 1), (2, 1), (1, 2)],
            ["float", "bits"],
            [32, 64],
        )
    ),
    *(case(kernel=k, pad_values=v) for k in [(1, 3), (5, 2), (7, 7)] for v in (0, 1)),
    *(case(activation=a, output=o) for a in range(4) for o in ("float", "int8")),
    *(case(activation=a, pad_values=0, output=o) for a in (1, 3) for o in ("float", "int8")),
    *(
        case(groups=g, channels_in=32 * w * g, channels_out=n * g, output=o, pad_values=v)
        for g, w, n in [(2, 1, 32), (2, 2, 16), (3, 1, 5), (4, 2, 48)]
        for o in OUTPUTS
        for v in (0, 1)
    ),
    *(case(batch=3, output=o, size=(3, 3)) for o in OUTPUTS),
    # Threads that share a tile: each computes some words of its pixels.
    *(
        case(size=s, output=o, channels_out=c, kernel=(5, 5))
        for s in [(2, 2), (3, 3), (4, 7)]
        for o in ["float", "bits"]
        for c in (96, 260, 512)
    ),
    *(
        case(batch=3, output=o, size=(9, 10), stride=t, pad_values=v, kernel=k, channels_in=96)
        for o, t, v, k in itertools.product(
            ["float", "bits"], [(1, 1), (2, 2), (3, 1)], [0, 1], [(1, 1), (3, 3), (4, 2)]
        )
    ),
    # More than 31 steps, after which byte counters must have been widened, and more than AMX
    # expands at once.
    *(case(channels_in=c, size=(6, 6), channels_out=40) for c in (128, 129, 192, 256)),
    case(channels_in=1024, kernel=(2, 2), size=(2, 4)),
    case(channels_in=2048, kernel=(1, 1), size=(2, 4), output="bits"),
    # More pairs of words than AVX2 lists at once, and an odd number left.
    case(channels_in=64 * 29, size=(2, 3)),
    case(size=(4, 4), kernel=(7, 7), pad_values=0, dilation=(2, 2)),
]


def lce_can(c):
    """Whether LCE's default interpreter computes a case, and rightly."""
    reach = [(k - 1) * d + 1 for k, d in zip(c["kernel"], c["dilation"], strict=True)]
    if c["groups"] > 1:
        return False
    if not (c["same"] and c["pad_values"] == 0):
        return True
    # It refuses fused activations and other outputs here, and its correction of the border assumes
    # that the window is smaller than the image.
    fits = all(r < s for r, s in zip(reach, c["size"], strict=True))
    return c["activation"] == 0 and c["output"] == "float" and fits


@pytest.mark.parametrize("params", CASES)
def test_bconv_agrees_with_numpy_and_lce(params, run, lce, isas, kernels):
    problem = Problem(params)
    model, expected = problem.model(), problem.expected()
    results = {isa: run(model, problem.x, isa=isa)[0] for isa in isas}
    for kernel in kernels:
        results[kernel] = run(model, problem.x, kernel=kernel)[0]
    results["threads"] = run(model, problem.x, num_threads=3)[0]
    reference = results["scalar"]
    for name, result in results.items():
        assert result.tobytes() == reference.tobytes(), name
    if params["output"] == "float":
        assert (np.abs(reference - expected) <= problem.tolerance()).all()
    elif params["output"] == "bits":
        assert (reference == expected).all()
    else:
        # Ties may fall either way after float32 rounding; everything else is exact.
        exact = np.clip(np.floor(np.abs(expected) + 0.5) * np.sign(expected), -128, 127)
        near_tie = np.abs(np.abs(expected) % 1 - 0.5) < 1e-3
        assert ((reference == exact) | near_tie).all()
        assert (np.abs(reference - exact) <= 1).all()
    if lce_can(params):
        theirs = lce(model, problem.x)[0]
        if params["output"] == "float" and params["same"] and params["pad_values"] == 0:
            # LCE corrects zero padding in float, after rounding; the delegate in integers.
            assert (np.abs(theirs - reference) <= 2 * problem.tolerance()).all()
        else:
            assert theirs.tobytes() == reference.tobytes()


@pytest.mark.parametrize("words", [1, 2, 14, 15, 28, 30, 31, 32, 62, 64, 126, 128, 520])
def test_bconv_counts_where_every_bit_differs(words, run, isas):
    """Counters of bytes overflow where they are widened a step too late."""
    depth, g = 32 * words, Graph()
    x = g.tensor((1, 2, 3, depth))
    filters = pack(np.ones((33, 1, 1, depth), int))
    constants = [filters, np.ones(33, np.float32), np.zeros(33, np.float32)]
    out = g.tensor((1, 2, 3, 33))
    inputs = [g.quantize(x), *(g.constant(array) for array in constants), ABSENT]
    g.operator(
        "LceBconv2d",
        inputs,
        [out],
        bconv_options(DEFAULTS | {"kernel": (1, 1), "channels_in": depth}),
    )
    model = g.build([x], [out])
    for isa in isas:
        (result,) = run(model, np.full((1, 2, 3, depth), -1, np.float32), isa=isa)
        assert (result == -depth).all(), isa


def test_bconv_grouped_agrees_with_lce(run, lce):
    """LCE's default kernel refuses groups; its indirect one takes them."""
    problem = Problem(DEFAULTS | {"groups": 2, "channels_in": 128, "channels_out": 64})
    model = problem.model()
    theirs = lce(model, problem.x, use_indirect_bgemm=True)[0]
    assert theirs.tobytes() == run(model, problem.x)[0].tobytes()
