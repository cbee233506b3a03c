import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.retrieval import exact_top_k, stored_items
from tfrec_fusion.retrieval.stored_items import PRECISIONS, StoredItems, check_precision


def test_int8_by_hand():
    # The scales are 1.27 / 127 = .01 and 2.54 / 127 = .02; -.504 is -25.2 steps of the latter.
    vectors = np.array([[1.27, 0.504, 300.0], [2.54, -0.504, 0.1]], np.float32)
    items = StoredItems(vectors, "int8", apart=1)
    assert items.vectors.numpy().tolist() == [[127, 50], [127, -25]]
    # float16 has 11 bits: .1 is stored as .09997559.
    expected = [[1.27, 0.5, 300.0], [2.54, -0.5, 0.09997559]]
    np.testing.assert_allclose(items.gather([0, 1]), expected, rtol=1e-6)
    assert {v.dtype for v in items.variables} == {tf.int8, tf.float32, tf.float16}


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 150),
    st.integers(2, 6),
    st.sampled_from(PRECISIONS),
    st.sampled_from([1, 64, 1 << 20]),
    st.integers(0, 99),
)
def test_products_and_lists_are_those_of_the_gathered_vectors(n, dim, precision, block, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, dim)).astype(np.float32)
    queries = tf.constant(rng.normal(size=(3, dim)), tf.float32)
    with pytest.MonkeyPatch.context() as patch:
        # Numbers of a block: one group of 32 items, several, or all items.
        patch.setattr(stored_items, "_BLOCK_NUMBERS", block)
        items = StoredItems(vectors, precision, apart=1)
        kept = items.gather(tf.range(n)).numpy()
        first, end = sorted(rng.integers(0, n + 1, 2))
        if first < end:
            product = items.product(queries, int(first), int(end))
            np.testing.assert_allclose(product, queries @ kept[first:end].T, atol=1e-5)
        masked = tf.constant([[0, 0], [2, n - 1]])
        scores, rows = items.best(queries, 2, masked)
        expected = exact_top_k(queries, kept, 2, masked)[0]
        np.testing.assert_allclose(scores, expected, atol=1e-5)
        assert not {(0, 0), (2, n - 1)} & {(b, r) for b in range(3) for r in rows[b].numpy()}
    # Half a step of 2 ** -8, 2 ** -11 or the row's largest / 127.
    step = {"float32": 0.0, "bfloat16": 2**-8, "float16": 2**-11, "int8": 1 / 127}[precision]
    largest = np.abs(vectors).max(1, keepdims=True)
    assert (np.abs(kept - vectors) <= largest * max(step, 0 if step == 0 else 2**-11)).all()


def test_bytes():
    sizes = {}
    for precision in PRECISIONS:
        items = StoredItems(np.ones((10, 9), np.float32), precision, apart=1)
        sizes[precision] = sum(v.shape.num_elements() * v.dtype.size for v in items.variables)
    # 8 columns and one of float16; int8 has a scale of 4 bytes a row.
    assert sizes == {"float32": 360, "bfloat16": 180, "float16": 180, "int8": 140}


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"exceed the float16 maximum 65504.*Received: 70000"):
        StoredItems(np.array([[7e4, 1.0]], np.float32), "float16")
    with pytest.raises(InputError, match=r"exceed the float16 maximum 65504"):
        StoredItems(np.array([[1.0, 7e4]], np.float32), "int8", apart=1)
    with pytest.raises(InputError, match=r"precision must be one of float32, .*Received: 'int4'"):
        check_precision("int4")
