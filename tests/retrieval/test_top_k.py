import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.retrieval import ExactTopK, exact_top_k
from tfrec_fusion.retrieval.top_k import GROUP

LOWEST = np.finfo(np.float32).min


def test_best_first_without_the_masked():
    # Scores of query (1, 2) are 1, 2, 3 and -1. Row 2 is masked: 1 (score 2), 0 (1), 3 (-1).
    layer = ExactTopK([[1, 0], [0, 1], [1, 1], [-1, 0]])
    scores, rows = layer(tf.constant([[1.0, 2.0]]), 3, [[0, 2]])
    assert rows.numpy().tolist() == [[1, 0, 3]]
    assert scores.numpy().tolist() == [[2.0, 1.0, -1.0]]


def test_equal_scores_keep_the_order_of_rows():
    rows = ExactTopK(np.ones((5, 1)))(tf.constant([[1.0]]), 5, [[0, 2]])[1]
    assert rows.numpy().tolist() == [[0, 1, 3, 4, -1]]


def test_a_masked_item_stays_out_when_the_rest_is_worse_than_any_fixed_penalty():
    scores, rows = ExactTopK([[-1e9], [1.0]])(tf.constant([[1.0]]), 2, [[0, 1]])
    assert rows.numpy().tolist() == [[0, -1]]
    assert scores.numpy().tolist() == [[np.float32(-1e9), LOWEST]]


def test_repeated_and_negative_pairs():
    rows = ExactTopK([[3.0], [2.0], [1.0]])(
        tf.constant([[1.0], [1.0]]), 2, [[0, 0], [0, 0], [1, -1], [-1, 1]]
    )[1]
    assert rows.numpy().tolist() == [[1, 2], [0, 1]]


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("k", [0, 1, 3, 7])
def test_width_is_k_whatever_the_catalogue_and_the_batch(batch, k):
    scores, rows = ExactTopK([[1.0], [2.0], [3.0]])(tf.ones([batch, 1]), k)
    assert scores.shape == rows.shape == (batch, k)
    assert rows.dtype == tf.int32
    expected = [2, 1, 0, -1, -1, -1, -1][:k]
    assert rows.numpy().tolist() == [expected] * batch


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equals_brute_force(data):
    n, batch = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 4))
    k = data.draw(st.integers(0, 15))
    # Whole numbers make ties and have one sum in every order of adding.
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    items = rng.integers(-2, 3, (n, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (batch, 3)).astype(np.float32)
    positions = st.tuples(st.integers(-1, batch - 1), st.integers(-1, n - 1))
    pairs = np.asarray(data.draw(st.lists(positions, max_size=20)), np.int32).reshape(-1, 2)
    scores, rows = exact_top_k(queries, items, tf.constant(k), pairs)
    for row in range(batch):
        masked = {i for b, i in pairs if b == row}
        left = [i for i in range(n) if i not in masked]
        values = items @ queries[row]
        best = sorted(left, key=lambda i, values=values: (-values[i], i))[:k]
        pad = k - len(best)
        assert rows[row].numpy().tolist() == best + [-1] * pad
        assert scores[row].numpy().tolist() == [*values[best], *[LOWEST] * pad]


def brute_force(items, queries, k, pairs):
    """Rows `[B, k]`, -1 where none is left: a stable sort of all that is not masked."""
    scores = queries @ items.T
    scores[pairs[:, 0], pairs[:, 1]] = -np.inf
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(scores, rows, axis=1) > -np.inf, rows, -1)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2 * GROUP, 900),
    st.integers(1, 5),
    st.integers(1, 12),
    st.sampled_from([1, 2, 50]),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_groups_equal_brute_force(n, batch, k, levels, masked, seed):
    # Whole numbers: one level makes all scores equal, two make many ties within and between groups.
    rng = np.random.default_rng(seed)
    items = rng.integers(0, levels, (n, 3)).astype(np.float32)
    queries = rng.integers(-1, 2, (batch, 3)).astype(np.float32)
    pairs = np.argwhere(rng.random((batch, n)) < masked**4).astype(np.int32)
    # What is masked includes the best of everyone, where a leak would show.
    best = brute_force(items, queries, 3, pairs)
    pairs = np.concatenate([pairs, np.stack([np.repeat(range(batch), 3), best.ravel()], 1)])
    pairs = pairs[pairs[:, 1] >= 0].astype(np.int32)
    scores, rows = exact_top_k(queries, items, k, pairs)
    np.testing.assert_array_equal(rows, brute_force(items, queries, k, pairs))
    expected = np.take_along_axis(queries @ items.T, np.maximum(rows, 0), axis=1)
    np.testing.assert_array_equal(scores, np.where(rows.numpy() < 0, LOWEST, expected))


@pytest.mark.parametrize("n", [5, 40 * GROUP, 40 * GROUP + 7])
@pytest.mark.parametrize("shared", [False, True])
def test_bias_and_what_is_allowed(n, shared):
    rng = np.random.default_rng(n)
    items = rng.integers(-2, 3, (n, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (4, 3)).astype(np.float32)
    bias = rng.choice([0.0, 0.5, -np.inf], n).astype(np.float32)
    allowed = rng.random((1 if shared else 4, n)) < 0.3
    pairs = np.argwhere(rng.random((4, n)) < 0.2).astype(np.int32)
    scores, rows = exact_top_k(queries, items, 9, pairs, bias, allowed)
    expected = np.where(allowed, queries @ items.T + bias, -np.inf)
    expected[pairs[:, 0], pairs[:, 1]] = -np.inf
    best = np.argsort(-expected, axis=1, kind="stable")[:, :9]
    best_scores = np.take_along_axis(expected, best, 1)
    width = best.shape[1]
    left = best_scores > -np.inf
    np.testing.assert_array_equal(rows[:, :width], np.where(left, best, -1))
    np.testing.assert_array_equal(scores[:, :width], np.where(left, best_scores, LOWEST))
    assert (rows[:, width:].numpy() == -1).all()
    unused = exact_top_k(queries, items, 9, pairs, bias, tf.ones([1, 1], tf.bool), restricted=False)
    np.testing.assert_array_equal(unused[0], exact_top_k(queries, items, 9, pairs, bias)[0])


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("n", [64 * GROUP, 64 * GROUP + 1, 64 * GROUP + 31])
def test_equal_vectors_tie_wherever_they_stand(n, batch):
    # Sums that round: a last group scored apart must round as the others do.
    rng = np.random.default_rng(n)
    items = np.tile(rng.normal(size=(1, 100)).astype(np.float32), (n, 1))
    queries = rng.normal(size=(batch, 100)).astype(np.float32)
    assert exact_top_k(queries, items, 9)[1].numpy().tolist() == [list(range(9))] * batch


@pytest.mark.parametrize("n", [5, 200, 64 * GROUP + 7])
def test_xla_equals_plain(n):
    rng = np.random.default_rng(n)
    items = rng.integers(-2, 3, (n, 3)).astype(np.float32)
    queries = tf.constant(rng.integers(-2, 3, (4, 3)), tf.float32)
    compiled, plain = ExactTopK(items, jit_compile=True), ExactTopK(items)
    pairs = np.stack([rng.integers(-1, 4, 70), rng.integers(-1, n, 70)], 1).astype(np.int32)
    for masked in (None, pairs, pairs[:1], pairs[:0]):
        outputs = zip(compiled(queries, 7, masked), plain(queries, 7, masked), strict=True)
        for mine, theirs in outputs:
            np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match="Python number"):
        compiled(queries, tf.constant(7))


def test_the_vectors_are_no_constant_of_the_graph():
    layer = ExactTopK(np.random.default_rng(0).normal(size=(50 * GROUP, 4)))
    function = tf.function(lambda q, pairs: layer(q, 3, pairs)).get_concrete_function(
        tf.TensorSpec([None, 4]), tf.TensorSpec([None, 2], tf.int32)
    )
    constants = [op for op in function.graph.get_operations() if op.type == "Const"]
    assert all(np.size(tf.make_ndarray(op.get_attr("value"))) <= 4 for op in constants)


def test_config_and_weights_round_trip(tmp_path):
    layer = ExactTopK(np.arange(6).reshape(3, 2))
    again = ExactTopK.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again.set_weights(layer.get_weights())
    queries = tf.constant([[1.0, -1.0], [0.0, 1.0]])
    for mine, theirs in zip(layer(queries, 2), again(queries, 2), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not layer.trainable_weights

    inputs = keras.Input([2])
    model = keras.Model(inputs, layer(inputs, 2))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(queries)[1], model(queries)[1])


def test_graph_with_a_dynamic_k_equals_eager():
    layer = ExactTopK(np.random.default_rng(0).normal(size=(9, 4)))
    queries = tf.random.stateless_normal([5, 4], [0, 1])

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def graph(k):
        return layer(queries, k)

    for k in (0, 4, 20):
        np.testing.assert_array_equal(graph(tf.constant(k))[1], layer(queries, k)[1])


@pytest.mark.parametrize("values", [[1.0, 2.0], [[np.nan]], [[np.inf, 1.0]]])
def test_refuses_what_is_not_a_finite_matrix(values):
    with pytest.raises(ValueError, match=r"finite matrix.*Received"):
        ExactTopK(values)


def test_a_negative_k_is_refused():
    with pytest.raises(InputError, match="k must be 0 or more"):
        ExactTopK([[1.0]])(tf.ones([1, 1]), -1)
