import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.examples.packed_columns import PackedColumns


@pytest.mark.parametrize("chosen", [5, 1, 0])
def test_every_dtype_comes_back_bit_by_bit(chosen):
    rng = np.random.default_rng(0)
    bits = rng.integers(-(2**62), 2**62, 5)
    columns = {
        "int64": bits,
        "float64": bits.astype(np.float64) / 7,
        "int32": bits.astype(np.int32),
        "uint32": bits.astype(np.uint32),
        "float32": np.array([0, -0.0, np.nan, np.inf, 1e-40], np.float32),
        "every other": np.arange(10, dtype=np.int32)[::2],
        "int16": bits.astype(np.int16),
        "bool": bits > 0,
        "text": np.array([b"a", b"", b"\xff", b"bc", b"d"]),
        "wide": rng.random((5, 3), np.float32),
    }
    rows = rng.permutation(5)[:chosen].astype(np.int32)
    packed = PackedColumns(columns)
    found = packed.take(tf.constant(rows, tf.int32))
    assert sorted(found) == sorted(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(found[name].numpy(), values[rows], err_msg=name)
        if name != "text":
            assert found[name].dtype == values.dtype
