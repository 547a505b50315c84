import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebit import bits

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "bits.json").read_text())


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_pack_reproduces_golden_vectors(case):
    values = np.array([float(v) for v in case["values"]], np.float32)
    packed = bits.pack(values)
    assert packed.dtype == np.int32
    assert packed.tolist() == case["words"]
    expected = np.where(values < 0, -1, 1)
    np.testing.assert_array_equal(bits.unpack(packed, len(values)), expected)


@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(1, 100)),
    seed=st.integers(0, 1000),
)
def test_unpack_inverts_pack_in_every_shape(shape, seed):
    values = np.random.default_rng(seed).choice([-1.0, 1.0], shape).astype(np.float32)
    words = bits.pack(values)
    assert words.shape == (*shape[:-1], bits.packed_length(shape[-1]))
    np.testing.assert_array_equal(bits.unpack(words, shape[-1]), values)


def test_unpack_refuses_another_number_of_channels():
    with pytest.raises(ValueError, match="33 channels take 2 words, not 1"):
        bits.unpack(np.zeros(1, np.int32), 33)
