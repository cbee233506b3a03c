"""The blocked softmax equals the plain one, in every way it can be run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.losses import InBatchSoftmax, SampledSoftmax


def _arguments(batch, candidates, dim=6, n_ids=9, seed=0):
    rng = np.random.default_rng(seed)

    def floats(*shape):
        return tf.constant(rng.normal(size=shape), tf.float32)

    def ids(n):
        return tf.constant(rng.integers(0, n_ids, n), tf.int32)

    return {
        "users": floats(batch, dim) * 2,
        "positives": floats(batch, dim),
        "negatives": floats(candidates, dim),
        "positive_ids": ids(batch),
        "negative_ids": ids(candidates),
        "positive_log_q": floats(batch),
        "negative_log_q": floats(candidates),
        "weight": tf.constant(rng.random(batch), tf.float32),
    }


def _plain(users, positives, negatives, positive_ids, negative_ids, p_log_q, n_log_q, weight):
    """The whole matrix: column 0 is the positive."""
    p = tf.reduce_sum(users * positives, 1) - p_log_q
    s = tf.matmul(users, negatives, transpose_b=True) - n_log_q
    s = tf.where(positive_ids[:, None] == negative_ids[None], -np.inf, s)
    nll = tf.reduce_logsumexp(tf.concat([p[:, None], s], 1), 1) - p
    return tf.reduce_mean(nll * weight)


def _value_and_gradients(loss, arguments, by):
    arguments = list(arguments)
    with tf.GradientTape() as tape:
        watched = [arguments[i] for i in by]
        tape.watch(watched)
        value = loss(*arguments)
    return value, *tape.gradient(value, watched)


def _same(actual, expected, tolerance=1e-5):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


BY = (0, 1, 2, 7)  # users, positives, negatives, weight


@settings(max_examples=15, deadline=None)
@given(
    batch=st.integers(1, 9), candidates=st.integers(1, 9), block=st.integers(1, 10), n=st.integers()
)
def test_value_and_gradients_are_the_plain_ones(batch, candidates, block, n):
    arguments = _arguments(batch, candidates, seed=n % 1000).values()
    actual = _value_and_gradients(SampledSoftmax(block), arguments, BY)
    _same(actual, _value_and_gradients(_plain, arguments, BY))


@pytest.mark.parametrize(
    ("batch", "jit"),
    [
        (50, False),
        (64, True),
        pytest.param(64, False, marks=pytest.mark.slow),
        pytest.param(50, True, marks=pytest.mark.slow),
    ],
)
def test_in_a_graph_and_on_the_second_use_under_jit(jit, batch):
    loss = SampledSoftmax(block_size=16)

    @tf.function(jit_compile=jit)
    def graph(*arguments):
        return _value_and_gradients(loss, arguments, BY)

    @tf.function(jit_compile=jit)
    def another(*arguments):
        return _value_and_gradients(loss, arguments, BY)

    for function in (graph, graph, another):
        for seed in (0, 1):
            arguments = _arguments(batch, 40, seed=seed).values()
            _same(function(*arguments), _value_and_gradients(_plain, arguments, BY))


def test_a_batch_of_unknown_size():
    loss = SampledSoftmax(block_size=4)
    arguments = list(_arguments(10, 7).values())
    signature = [tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in arguments]
    graph = tf.function(lambda *a: _value_and_gradients(loss, a, BY), input_signature=signature)
    for batch, candidates in ((10, 7), (3, 2), (8, 12)):
        arguments = _arguments(batch, candidates).values()
        _same(graph(*arguments), _value_and_gradients(_plain, arguments, BY))


def test_in_batch_is_sampled_with_the_batch_as_negatives():
    a = _arguments(11, 11)
    expected = _value_and_gradients(
        lambda users, items: _plain(
            users,
            items,
            items,
            a["positive_ids"],
            a["positive_ids"],
            a["positive_log_q"],
            a["positive_log_q"],
            a["weight"],
        ),
        [a["users"], a["positives"]],
        (0, 1),
    )
    actual = _value_and_gradients(
        lambda users, items: InBatchSoftmax(4)(
            users, items, a["positive_ids"], a["positive_log_q"], a["weight"]
        ),
        [a["users"], a["positives"]],
        (0, 1),
    )
    _same(actual, expected)


def test_gradients_at_a_large_batch_within_1e_5():
    a = _arguments(1500, 1500, dim=64, n_ids=1000)
    # Scores of standard deviation 16 and single targets: the hard case for a float32 softmax.
    _same(
        _value_and_gradients(SampledSoftmax(), a.values(), BY),
        _value_and_gradients(_plain, a.values(), BY),
    )


def test_one_scores_ten_thousand_is_no_overflow():
    users = tf.constant([[100.0], [-100.0]])
    # Row 0: scores 10^4 (own) and 0. Row 1: -10^4 (own 0 -> 0): 0 and -10^4. Both losses 0.
    items = tf.constant([[100.0], [0.0]])
    value, *gradients = _value_and_gradients(InBatchSoftmax(), [users, items], (0, 1))
    assert value == 0
    assert all((g.numpy() == 0).all() for g in gradients)


def test_bfloat16_products_stay_close_and_sums_are_float32():
    a = _arguments(300, 300, dim=16)
    exact = _value_and_gradients(SampledSoftmax(), a.values(), BY)
    rounded = _value_and_gradients(SampledSoftmax(matmul_dtype="bfloat16"), a.values(), BY)
    assert all(value.dtype == tf.float32 for value in rounded)
    np.testing.assert_allclose(rounded[0], exact[0], rtol=0.01)
    for g, h in zip(rounded[1:], exact[1:], strict=True):
        assert np.linalg.norm(g - h) < 0.02 * np.linalg.norm(h)


def test_a_second_derivative_is_refused_not_wrong():
    users = tf.constant([[1.0], [2.0]])
    with tf.GradientTape() as outer:
        outer.watch(users)
        with tf.GradientTape() as inner:
            inner.watch(users)
            loss = InBatchSoftmax()(users, users)
        gradient = inner.gradient(loss, users)
        with pytest.raises(LookupError, match="first derivatives"):
            outer.gradient(gradient, users)


@pytest.mark.parametrize("kind", [InBatchSoftmax, SampledSoftmax])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_size": 0}, "block_size must be at least 1. Received: 0"),
        ({"matmul_dtype": "float16"}, "matmul_dtype.*Received: 'float16'"),
    ],
)
def test_bad_options(kind, options, message):
    with pytest.raises(InputError, match=message):
        kind(**options)


def test_where_the_bound_of_a_row_is_far_from_its_largest_logit():
    # The product of the norms is 100 times the largest score: by it every power would vanish.
    a = _arguments(12, 12, dim=2)
    a["users"] = tf.constant([[100.0, 0.0]] * 12)
    a["negatives"] = tf.constant([[0.01 * i, 100.0] for i in range(12)], tf.float32)
    a["positives"] = a["negatives"]
    actual = _value_and_gradients(SampledSoftmax(5), a.values(), BY)
    _same(actual, _value_and_gradients(_plain, a.values(), BY))
