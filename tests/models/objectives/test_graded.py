"""Losses of lists with graded and with missing labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.models import (
    BPR,
    OBJECTIVES,
    CatalogueSoftmax,
    Focal,
    HardNegatives,
    LambdaRank,
    ListMLE,
    PairwiseHinge,
    Ranker,
)
from tfrec_fusion.models.objectives import row_blocks
from tfrec_fusion.models.objectives.own_interests import own_interests
from tfrec_fusion.models.objectives.targets import Targets

NAN = np.nan
LOG3 = np.log2(3)
# Those that compare the candidates of a list, so that a list of equal labels tells them nothing.
ORDERED = {
    "softmax": CatalogueSoftmax(),
    "bpr": BPR(),
    "hinge": PairwiseHinge(),
    "list_mle": ListMLE(),
    "lambda_rank": LambdaRank(),
    "truncated": LambdaRank(k=2, mu=10.0),
}
ALL = ORDERED | {"focal": Focal(alpha=0.25)}


def _softplus(x):
    return np.logaddexp(0, x)


def _loss(objective, labels, scores, **options):
    return objective(tf.constant(labels), tf.constant(scores, tf.float32), **options).numpy()


def test_pairs_of_a_higher_and_a_lower_label():
    labels, scores = [[2.0, 1, 0, NAN]], [[2.0, 1, 0, 9]]
    # Ahead by 1 (2 > 1), 2 (2 > 0) and 1 (1 > 0).
    assert _loss(PairwiseHinge(2.0), labels, scores) == pytest.approx((1 + 0 + 1) / 3)
    expected = np.mean(_softplus(np.array([-1, -2, -1])))
    assert _loss(BPR(), labels, scores) == pytest.approx(expected)
    # A label below 0 is that of a negative, and equal labels are no pair.
    assert _loss(PairwiseHinge(2.0), [[1.0, 1, 0, -1]], scores) == pytest.approx(
        np.mean([0, 1, 2 - (2 - 9), 2 - (1 - 9)])
    )


def test_the_softmax_weights_targets_by_their_gains():
    # Of 1 + 2 + 1 = 4: 1/4 with the gain 3, 2/4 with the gain 1.
    loss = _loss(CatalogueSoftmax(), [[2.0, 1, 0, NAN]], np.log([[1.0, 2, 1, 9]]))
    assert loss == pytest.approx((3 * np.log(4) + np.log(2)) / 4)
    # 2^1000 and 2^999 are no float32; their gains are as 2 to 1.
    loss = _loss(CatalogueSoftmax(), [[1000.0, 999, 0]], np.log([[1.0, 2, 1]]))
    assert loss == pytest.approx((2 * np.log(4) + np.log(2)) / 3)


def test_the_likelihood_of_an_order_with_ties():
    labels, scores = [[2.0, 1, 1, 0, NAN]], np.log([[1.0, 2, 3, 4, 9]])
    # 1 of 10 first; then 2 and 3 of 9, and of 4 + 5 / 2.
    terms = np.log(10) - np.log(1), np.log(9) - np.log(2), np.log(6.5) - np.log(3)
    assert _loss(ListMLE(), labels, scores) == pytest.approx(np.mean(terms))
    # All but the first have the lowest label, of which there is no order to learn.
    assert _loss(ListMLE(), [[3.0, 1, 1, 1, 1]], scores) == pytest.approx(np.log(19))


def test_the_likelihood_of_an_order_without_ties_is_plackett_and_luces():
    scores = np.array([0.3, -1.0, 2.0, 0.5])
    expected = [
        np.log(np.exp(scores[place:]).sum()) - scores[place] for place in range(3)
    ]  # the last of an order is certain
    assert _loss(ListMLE(), [[3.0, 2, 1, 0]], scores[None]) == pytest.approx(np.mean(expected))


def test_lambdas_weight_a_pair_by_the_change_of_ndcg():
    labels, scores = [[1.0, 0, NAN, 2]], [[3.0, 2, 9, 1]]  # ranks 1, 2, - and 3
    first, second, third = 1, 1 / LOG3, 1 / 2
    # (0, 1), (3, 0) and (3, 1) with the gains 1, 0 and 3.
    losses = np.array([1 * _softplus(-1), 2 * _softplus(2), 3 * _softplus(1)])
    rho = np.array([first - second, first - third, second - third])
    expected = losses @ rho / (3 + 1 / LOG3)
    assert _loss(LambdaRank(), labels, scores) == pytest.approx(expected)
    # By the distances 1, 2 and 1 of the ranks.
    delta = np.array([first - second, second - third, first - second])
    expected = losses @ (rho + 10 * delta) / (3 + 1 / LOG3)
    assert _loss(LambdaRank(mu=10), labels, scores) == pytest.approx(expected)
    # Of the first rank alone, the discount of others is 0, and the best DCG is 3.
    expected = losses @ np.array([1, 1, 0]) / 3
    assert _loss(LambdaRank(k=1), labels, scores) == pytest.approx(expected)
    expected = losses @ (np.array([1, 1, 0]) + np.array([delta[0], delta[1], 0])) / 3
    assert _loss(LambdaRank(k=1, mu=1.0), labels, scores) == pytest.approx(expected)


def test_a_focal_loss_counts_well_predicted_items_less():
    # Probabilities 1/4 of a target; 1/2 and 3/4 of negatives; the last is not labelled.
    labels, scores = [[3.0, 0, 0, NAN]], np.log([[1 / 3, 1, 3, 9]])
    terms = np.array([(3 / 4) ** 2 * np.log(4), np.log(2) / 4, (3 / 4) ** 2 * np.log(4)])
    assert _loss(Focal(), labels, scores) == pytest.approx(terms.mean(), rel=1e-5)
    weighted = terms @ [0.25, 0.75, 0.75] / 3
    assert _loss(Focal(alpha=0.25), labels, scores) == pytest.approx(weighted, rel=1e-5)


def test_a_focal_loss_equals_kerass():
    labels, scores = tf.constant([[1.0, 0, 0, 1]]), tf.constant([[0.3, -2.0, 5.0, -4.0]])
    for gamma in (0.0, 2.0):
        keras_loss = keras.losses.BinaryFocalCrossentropy(gamma=gamma, from_logits=True)
        found, expected = Focal(gamma)(labels, scores), keras_loss(labels, scores)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def _reference(name, labels, scores):
    """The loss of one list by loops; NaN labels are left out."""
    known = ~np.isnan(labels)
    labels, s = np.maximum(labels[known], 0), scores[known].astype(np.float64)
    n, gains = len(s), 2**labels - 1
    pairs = [(i, j) for i in range(n) for j in range(n) if labels[i] > labels[j]]
    if name == "focal":
        p = 1 / (1 + np.exp(-s))
        sure = np.where(labels > 0, p, 1 - p)
        weight = np.where(labels > 0, 0.25, 0.75)
        return (weight * (1 - sure) ** 2 * -np.log(sure)).mean() if n else 0.0
    if name == "softmax":
        if not gains.any():
            return 0.0
        return gains @ (np.log(np.exp(s).sum()) - s) / gains.sum()
    if not pairs:
        return 0.0
    if name == "list_mle":
        terms, drawn = [], {}
        for i in range(n):
            lower, same = labels < labels[i], labels == labels[i]
            if lower.any():
                k = drawn[labels[i]] = drawn.get(labels[i], -1) + 1
                rest = 1 - k / same.sum()
                terms.append(np.log(np.exp(s[lower]).sum() + rest * np.exp(s[same]).sum()) - s[i])
        return np.mean(terms)
    behind = np.array([s[j] - s[i] for i, j in pairs])
    if name == "bpr":
        return _softplus(behind).mean()
    if name == "hinge":
        return np.maximum(0, 1 + behind).mean()
    k, mu = (2, 10.0) if name == "truncated" else (n, 0.0)
    rank = np.empty(n)
    rank[np.lexsort([labels, -s])] = 1 + np.arange(n)
    discount = np.where(rank <= k, 1 / np.log2(1 + rank), 0)
    best = np.sort(gains)[::-1][:k] @ (1 / np.log2(2 + np.arange(min(k, n))))
    total = 0.0
    for (i, j), loss in zip(pairs, _softplus(behind), strict=True):
        apart = abs(rank[i] - rank[j])
        near = 1 / np.log2(1 + apart) - 1 / np.log2(2 + apart)
        inside = min(rank[i], rank[j]) <= k
        weight = abs(discount[i] - discount[j]) + mu * near * inside
        total += (gains[i] - gains[j]) / best * weight * loss
    return total


lists = st.integers(1, 4).flatmap(
    lambda rows: st.integers(1, 7).flatmap(
        lambda columns: st.tuples(
            st.lists(
                st.sampled_from([NAN, -1.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0]),
                min_size=rows * columns,
                max_size=rows * columns,
            ),
            st.lists(
                st.sampled_from([-2.0, 0.0, 0.25, 1.0, 3.0]),
                min_size=rows * columns,
                max_size=rows * columns,
            ),
            st.just((rows, columns)),
            st.randoms(use_true_random=False),
        )
    )
)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=20, deadline=None)
@given(lists)
def test_equals_loops_and_a_permutation_changes_nothing(name, case):
    labels, scores, shape, random = case
    labels, scores = (np.reshape(np.float32(values), shape) for values in (labels, scores))
    objective, s = ALL[name], tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(s)
        loss = objective(tf.constant(labels), s)
    expected = np.mean([_reference(name, *row) for row in zip(labels, scores, strict=True)])
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)
    gradient = tape.gradient(loss, s).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[np.isnan(labels)].any()

    order = list(range(shape[1]))
    random.shuffle(order)
    again = _loss(objective, labels[:, order], scores[:, order])
    np.testing.assert_allclose(again, loss, rtol=1e-5, atol=1e-6)
    # Lists of other lengths: padded with missing labels and any scores.
    padding = ((0, 0), (0, 3))
    longer = np.pad(labels, padding, constant_values=NAN), np.pad(scores, padding, "edge")
    np.testing.assert_allclose(_loss(objective, *longer), loss, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_large_scores_have_finite_gradients(name):
    scores = tf.constant([[1e4, -1e4, 0.0, 5.0], [-1e4, 1e4, 1e4, -5.0]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = ALL[name](tf.constant([[0.0, 4, 1, NAN], [4, 0, 4, 1]]), scores)
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, scores)).all()


@pytest.mark.parametrize("name", ORDERED)
def test_lists_of_one_label_have_no_loss(name):
    for row in ([NAN, NAN, NAN], [0.0, 0.0, NAN], [-1.0, 0.0, NAN]):
        assert _loss(ORDERED[name], [row], [[3.0, 1, 2]]) == 0
    for row in ([2.0, 2.0, NAN], [1.0, NAN, NAN]):
        assert name == "softmax" or _loss(ORDERED[name], [row], [[3.0, 1, 2]]) == 0


@pytest.mark.parametrize("name", ALL)
def test_constant_scores_are_no_trap(name):
    """All gradients of labels above the others' point up, those of the lowest down."""
    scores = tf.zeros([1, 4])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = ALL[name](tf.constant([[0.0, 2, 1, 0]]), scores)
    gradient = tape.gradient(loss, scores).numpy()[0]
    assert gradient[1] < 0 and (gradient[[0, 3]] > 0).all()
    assert gradient[1] <= gradient[2]


@pytest.mark.parametrize("name", ALL)
def test_labels_follow_the_rows_into_blocks(name, monkeypatch):
    rng = np.random.default_rng(0)
    labels = tf.constant(rng.choice([NAN, 0.0, 1.0, 3.0], (6, 5)), tf.float32)
    scores = tf.constant(rng.normal(size=(6, 5)), tf.float32)

    def found():
        with tf.GradientTape() as tape:
            tape.watch(scores)
            loss = ALL[name](labels, scores, tf.range(6.0))
        return loss, tape.gradient(loss, scores)

    whole = found()
    monkeypatch.setattr(row_blocks, "SCORES", 10)
    for one, expected in zip(tf.function(found)(), whole, strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)


def test_labels_follow_the_targets_of_interests_and_hard_negatives():
    targets = Targets.of_labels(tf.constant([[1.0, 4, 0], [0, 0, 2]]))
    # User 0: the first interest scores item 0 higher, the second item 1. User 1: the second.
    items = tf.constant([[1.0, 0], [0, 1], [1, -1]])
    users = tf.constant([[[1.0, 0], [0, 1]], [[0, 1], [1, 0]]])
    vectors, chosen, _ = own_interests(users, items, targets, None)
    assert len(vectors) == 3
    np.testing.assert_array_equal(chosen.target, [[0, 0], [1, 1], [2, 2]])
    np.testing.assert_array_equal(chosen.label, [1, 4, 2])
    # Each target against one negative: the gains 1 and 15 over themselves, and swaps of 1 and 2.
    loss = _loss(HardNegatives(LambdaRank(), k=1), [[1.0, 4, 0]], [[0.0, 0, 0]])
    assert loss == pytest.approx((1 - 1 / LOG3) * np.log(2))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Focal(-1), r"Focal: gamma must be at least 0. Received: -1"),
        (lambda: Focal(alpha=2), r"Focal: alpha must be between 0 and 1, or None. Received: 2"),
        (lambda: LambdaRank(k=0), r"LambdaRank: k must be at least 1, or None. Received: 0"),
        (lambda: LambdaRank(mu=-1), r"LambdaRank: mu must be at least 0. Received: -1"),
    ],
)
def test_options_out_of_range(make, told):
    with pytest.raises(InputError, match=told):
        make()


@pytest.fixture
def events(make_events):
    return make_events([("uvw"[i % 3], "abcdefgh"[i % 8], i) for i in range(24)])


@pytest.mark.parametrize("loss", ["list_mle", Focal(1.0, 0.3), LambdaRank(k=5, mu=2.0)])
def test_a_saved_ranker_keeps_the_loss(loss, events, tmp_path):
    batch = next(iter(ranking_examples(events, 8, negatives=3)))
    graded = tf.where(batch["label"] > 0, 2.0, tf.constant([0.0, 1, 0, 1]))
    model = Ranker(events, dim=4, hidden=[4])
    model.compile("sgd", loss=loss)
    model.train_step(batch | {"label": graded})
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.loss) is type(model.loss)
    assert loaded.loss.get_config() == model.loss.get_config()
    np.testing.assert_allclose(
        loaded.compute_loss(batch | {"label": graded}),
        model.compute_loss(batch | {"label": graded}),
        rtol=1e-5,
    )


@pytest.mark.parametrize("name", ["focal", "list_mle", "lambda_rank"])
def test_a_config_names_it(name, events):
    model = Ranker(events, dim=4, hidden=[4], loss=name)
    model.compile("sgd")
    assert type(model.loss) is OBJECTIVES.resolve(name)
