"""What every built-in objective must do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.models import OBJECTIVES, Targets
from tfrec_fusion.models.objectives import row_blocks

NAMES = list(OBJECTIVES)
SOFTMAX = ("softmax", "refined_softmax")
# Those that know no sampling: their loss is the same whatever log q is.
UNCORRECTED = (
    *("normalised_squared", "bce", "gbce", "bpr", "hinge", "ccl", "focal", "lambda_rank"),
)


def _pairs(pairs):
    return tf.reshape(tf.constant(pairs, tf.int32), [-1, 2])


def _case(seed=0, rows=5, candidates=7, sampled=True, most=2):
    """Scores, and targets of which each row has one or more, and masked candidates."""
    rng = np.random.default_rng(seed)
    target, masked = [], []
    for row in range(rows):
        order = rng.permutation(candidates)
        n_targets = 1 + rng.integers(0, min(most, candidates))
        n_masked = rng.integers(0, max(candidates - n_targets, 0) + 1)
        target += [(row, column) for column in sorted(order[:n_targets])]
        masked += [(row, c) for c in sorted(order[n_targets:][:n_masked])]
    log_q = rng.normal(size=candidates).astype(np.float32) if sampled else None
    scores = tf.constant(rng.normal(size=(rows, candidates)), tf.float32)
    return Targets(_pairs(target), _pairs(masked), None, log_q, 20), scores


@pytest.fixture(params=NAMES)
def objective(request):
    return OBJECTIVES.resolve(request.param)()


def _gradient(loss, *variables):
    with tf.GradientTape() as tape:
        for variable in variables:
            tape.watch(variable)
        value = loss()
    return value, tape.gradient(value, variables)


def test_eager_equals_graph_at_any_size(objective):
    graph = tf.function(lambda *a: objective(*a), reduce_retracing=True)
    for rows, candidates in ((5, 7), (1, 3), (3, 1)):
        targets, scores = _case(1, rows, candidates)
        weight = tf.range(rows, dtype=tf.float32)
        found = graph(targets, scores, weight)
        np.testing.assert_allclose(found, objective(targets, scores, weight), rtol=1e-5, atol=1e-6)


def test_a_config_rebuilds_it(objective):
    twin = type(objective).from_config(objective.get_config())
    assert twin.get_config() == objective.get_config()
    saved = keras.saving.serialize_keras_object(objective)
    assert saved["registered_name"].startswith("tfrec_fusion>")
    again = keras.saving.deserialize_keras_object(saved)
    targets, scores = _case()
    np.testing.assert_array_equal(again(targets, scores), objective(targets, scores))


def test_half_precision_stays_close(objective):
    targets, scores = _case()
    half = objective(targets, tf.cast(scores, tf.bfloat16))
    assert half.dtype == tf.float32
    np.testing.assert_allclose(half, objective(targets, scores), rtol=0.03, atol=0.03)


# Autoencoder examples, for which the other one is, have no masks.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "normalised_squared"])
def test_a_masked_candidate_has_no_influence(name):
    objective = OBJECTIVES.resolve(name)()
    targets, scores = _case()
    moved = tf.tensor_scatter_nd_add(scores, targets.masked, tf.fill([len(targets.masked)], 100.0))
    value, (gradient,) = _gradient(lambda: objective(targets, scores), scores)
    np.testing.assert_allclose(objective(targets, moved), value, rtol=1e-6)
    assert not tf.gather_nd(gradient, targets.masked).numpy().any()


@pytest.mark.parametrize("masked", [[], [[0, 1], [0, 2], [1, 0], [1, 2]]], ids=["one", "all"])
def test_it_is_finite_with_one_candidate_and_with_all_masked(objective, masked):
    if masked:
        targets = Targets(_pairs([[0, 0], [1, 1]]), _pairs(masked), None, tf.zeros([3]), 20)
        scores = tf.constant([[1.0, 5.0, -5.0], [-1.0, 0.0, 1e4]])
    else:
        targets = Targets(_pairs([[0, 0]]), _pairs([]), None, tf.zeros([1]), 1)
        scores = tf.constant([[3.0]])
    value, (gradient,) = _gradient(lambda: objective(targets, scores), scores)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_a_weighted_mean_over_rows(objective):
    targets, scores = _case(rows=3)
    rows = [objective(targets.between(i, i + 1), scores[i : i + 1]).numpy() for i in range(3)]
    np.testing.assert_allclose(objective(targets, scores), np.mean(rows), rtol=1e-5)
    weighted = objective(targets, scores, tf.constant([0.0, 2.0, 4.0]))
    np.testing.assert_allclose(weighted, (2 * rows[1] + 4 * rows[2]) / 3, rtol=1e-5)


def test_the_gradient_by_finite_differences(objective):
    targets, scores = _case(3, rows=2, candidates=4)
    scores *= 3.0  # away from the corner of a hinge
    weight = tf.constant([1.0, 3.0])
    _, (gradient,) = _gradient(lambda: objective(targets, scores, weight), scores)
    for place in np.ndindex(2, 4):
        step = tf.scatter_nd([place], [1e-2], [2, 4])
        ahead, behind = (objective(targets, scores + s * step, weight) for s in (1, -1))
        slope = (ahead - behind) / 2e-2
        np.testing.assert_allclose(gradient[place], slope, rtol=0.02, atol=2e-3)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("name", [n for n in NAMES if OBJECTIVES.resolve(n).blocked])
def test_blocks_of_rows_change_nothing(name, in_graph, monkeypatch):
    objective, rng = OBJECTIVES.resolve(name)(), np.random.default_rng(0)
    targets, _ = _case(rows=6)
    users, items = (tf.constant(rng.normal(size=(n, 3)), tf.float32) for n in (6, 7))
    weight = tf.constant(rng.random(6), tf.float32)

    def found():
        def of_vectors(users, items):
            loss = lambda: objective.of_vectors(targets, users, items, weight)  # noqa: E731
            return _gradient(loss, users, items)

        def of_scores(scores):
            return _gradient(lambda: objective(targets, scores, weight), scores)

        if in_graph:
            of_vectors, of_scores = tf.function(of_vectors), tf.function(of_scores)
        scores = tf.matmul(users, items, transpose_b=True)
        return tf.nest.flatten([of_scores(scores), of_vectors(users, items)])

    whole = found()
    monkeypatch.setattr(row_blocks, "SCORES", 14)  # two rows
    for one, expected in zip(found(), whole, strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", UNCORRECTED)
def test_losses_of_no_sampling_ignore_log_q(name):
    objective = OBJECTIVES.resolve(name)()
    targets, scores = _case()
    np.testing.assert_array_equal(
        objective(targets, scores), objective(targets.uncorrected, scores)
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), candidates=st.integers(1, 6), most=st.integers(1, 3))
@pytest.mark.parametrize("name", SOFTMAX)
def test_a_sampled_softmax_with_all_negatives_is_the_full_one(name, seed, candidates, most):
    """Every candidate is expected once, so that log q is 0 or there is none."""
    targets, scores = _case(seed, 3, candidates, sampled=False, most=most)
    objective = OBJECTIVES.resolve(name)()
    banned = {tuple(pair) for pair in targets.masked.numpy()}
    expected = []
    for row in range(3):
        kept = [c for c in range(candidates) if (row, c) not in banned]
        own = [column for r, column in targets.target.numpy() if r == row]
        values = scores.numpy()[row].astype(np.float64)
        total = np.log(np.exp(values[kept]).sum())
        expected.append(np.mean([total - values[column] for column in own]))
    for log_q in (None, tf.zeros([candidates])):
        found = objective(targets._replace(log_q=log_q), scores)
        np.testing.assert_allclose(found, np.mean(expected), rtol=1e-4, atol=1e-5)
