"""Ensembles of rankers: logits by hand, fitted weights, saving, and what is refused."""

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate_ranker
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import State
from tfrec_fusion.models import Model, Ranker
from tfrec_fusion.models.classic import Popularity
from tfrec_fusion.pipelines import Blend, RankerEnsemble
from tfrec_fusion.pipelines.logit_weights import fit_logit_weights

TRAIN = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "c"), ("w", "b")]
TEST = [("u", "c"), ("v", "e")]
SMALL = {"dim": 2, "cross_layers": 0, "hidden": [2]}


class Says(Ranker):
    """A ranker whose logits of the items are `said`, whatever the user is."""

    said = (0.0,) * 5

    def call(self, batch, training=None, by_head=False):
        return tf.gather(tf.constant(list(self.said)), batch["item"])


def _says(events, *said, **options):
    model = Says(events, **(SMALL | options))
    model.said = said
    return model


@pytest.fixture(scope="module")
def train(make_events):
    return make_events(
        [(user, item, second) for second, (user, item) in enumerate(TRAIN)], items="abcde"
    )


@pytest.fixture(scope="module")
def members(train):
    return {
        "one": _says(train, 2.0, -1.0, 0.0, 4.0, 0.5),
        "other": _says(train, 0.0, 3.0, 1.0, -2.0, 0.5),
    }


def _batch(items):
    return {"user": tf.zeros([len(items)], tf.int32), "item": tf.constant(items)}


def test_the_mean_of_logits_and_a_weighted_sum_by_hand(train, members):
    mean = RankerEnsemble(members)
    assert isinstance(mean, Model) and not mean.ranks_catalogue
    assert mean.config.weights == {"one": 0.5, "other": 0.5}
    np.testing.assert_allclose(mean(_batch([[0, 1], [3, 2]])), [[1, 1], [1, 0.5]])
    # .25 * (2, -1, 0, 4, .5) + 2 * (0, 3, 1, -2, .5) + .1
    one = RankerEnsemble(members, weights={"one": 0.25, "other": 2.0}, bias=0.1)
    wanted = [0.6, 5.85, 2.1, -2.9, 1.225]
    np.testing.assert_allclose(one(_batch([0, 1, 2, 3, 4])), wanted, rtol=1e-6)
    scores = one.scorer(State.of(train))(np.array([0, 2, -1], np.int32))
    np.testing.assert_allclose(scores, [wanted] * 3, rtol=1e-6)
    outer = RankerEnsemble({"inner": one, "other": members["other"]})
    np.testing.assert_allclose(outer(_batch([0, 1])), [0.3, (5.85 + 3) / 2], rtol=1e-6)


def test_weights_of_a_logistic_regression_by_hand():
    # Where the first says -1, one in four is taken; where it says 1, nine in ten: then
    # b - w = log(1/3) and b + w = log(9). The second knows nothing, the third the contrary.
    first = np.repeat([-1.0, 1.0], [4, 10])
    labels = np.concatenate([[1, 0, 0, 0], [1] * 9, [0]])
    (weight,), bias = fit_logit_weights(first[:, None], labels)
    np.testing.assert_allclose([weight, bias], [np.log(27) / 2, np.log(3) / 2], rtol=1e-4)
    weights, bias = fit_logit_weights(np.stack([first, -first], 1), labels)
    assert weights[1] == 0 and weights[0] == pytest.approx(np.log(27) / 2, rel=1e-4)
    # Alone it gets no weight, and the bias is the logit of the share of positives, 10 of 14.
    weights, bias = fit_logit_weights(-first[:, None], labels)
    assert weights == [0] and bias == pytest.approx(np.log(10 / 4), rel=1e-4)
    # Rows that count twice are as two rows.
    twice = fit_logit_weights(np.append(first, first[:3])[:, None], np.append(labels, labels[:3]))
    counted = fit_logit_weights(first[:, None], labels, np.where(np.arange(14) < 3, 2, 1))
    np.testing.assert_allclose(np.append(*counted), np.append(*twice), rtol=1e-4)
    # A strong pull keeps the mean.
    weights, _ = fit_logit_weights(np.stack([first, -first], 1), labels, l2=1e6)
    np.testing.assert_allclose(weights, [0.5, 0.5], atol=1e-4)


def test_stacked_members(train, make_events):
    others = make_events([("u", "a", 0), ("v", "b", 1)], items="abced")
    # The first member's logits are -1 for item a and 1 for b, the second's the contrary.
    members = {"good": _says(train, -1, 1, 0, 0, 0.0), "bad": _says(train, 1, -1, 0, 0, 0.0)}
    items, labels = np.repeat([0, 1], [4, 10]), np.concatenate([[1, 0, 0, 0], [1] * 9, [0]])
    batches = [
        {**_batch(items[rows].tolist()), "label": tf.constant(labels[rows], tf.float32)}
        for rows in (slice(0, 5), slice(5, 14))
    ]
    found = RankerEnsemble.stacked(members, batches, l2=0.0)
    assert found.config.weights["bad"] == 0
    assert found.config.weights["good"] == pytest.approx(np.log(27) / 2, rel=1e-4)
    probability = tf.sigmoid(found(_batch([0, 1])))
    np.testing.assert_allclose(probability, [0.25, 0.9], rtol=1e-4)
    bad = {"bad": members["bad"]}
    unlabelled = [_batch([0])]
    for given, says in [
        ((members, []), "labels of 0 and 1, some of each.* Received: no examples"),
        ((members, [batches[1] | {"label": tf.ones([9])}]), "Received: 1 to 1"),
        ((members, unlabelled), r"no 'label'.* Received: \['item', 'user'\]"),
        ((bad, batches, 0.0), "no member orders these examples better than chance"),
        ((members, None), "batches must be those of ranking_examples.* Received: NoneType"),
        ((members, train), "batches must be those of ranking_examples.* Received: Interactions"),
        ((members, [3]), "no 'label'.* Received: int"),
        ((members, ranking_examples(others, 4)), "stacked: items: the model was built for other"),
    ]:
        with pytest.raises(InputError, match=says):
            RankerEnsemble.stacked(*given)


def test_a_saved_ensemble_scores_as_before(temporal, tmp_path):
    split = temporal(TRAIN, TEST)
    keras.utils.set_random_seed(1)
    members = {
        "one": Ranker(split.train, **SMALL),
        "other": Ranker(split.train, **SMALL, backbone="dcn_v2", user="both"),
    }
    for member in members.values():
        member.head.linear.bias.assign(tf.random.normal([1]))
    ensemble = RankerEnsemble(members, weights={"one": 1.0, "other": 0.5}, bias=-0.25)
    batch = next(iter(ranking_examples(split.train, 4, negatives=1)))
    wanted = members["one"](batch) + 0.5 * members["other"](batch) - 0.25
    np.testing.assert_allclose(ensemble(batch), wanted, rtol=1e-5)
    ensemble.save(tmp_path / "ensemble")
    loaded = RankerEnsemble.load(tmp_path / "ensemble")
    assert (loaded.config, loaded.spec) == (ensemble.config, ensemble.spec)
    np.testing.assert_allclose(loaded(batch), wanted, rtol=1e-5)
    report, again = (evaluate_ranker(one, split, negatives=1) for one in (ensemble, loaded))
    assert report.name == "ensemble of one, other"
    assert np.isfinite(report.metrics["total"]["log_loss"])
    assert again.metrics["total"] == pytest.approx(report.metrics["total"], nan_ok=True)


def test_wrong_members_and_options_are_named(train, members, make_events):
    others = make_events([("u", "a", 0), ("v", "b", 1)], items="abced")
    heads = {"amount": {"kind": "regression", "label": "label"}}
    many = {"ensemble": RankerEnsemble(members)}
    for given, options, says in [
        ({}, {}, "RankerEnsemble: members must be a mapping"),
        ({"x": Popularity().fit(train)}, {}, "'x' must score given items, as a Ranker does"),
        ({"x": Ranker(train, **SMALL, heads=heads)}, {}, "'x' must score batches by the logit"),
        ({**members, "x": _says(others)}, {}, "RankerEnsemble: the members were trained on diff"),
        (members, {"weights": {"one": 1.0}}, "RankerEnsemble: weights: .* lacks 'other'"),
        (members, {"weights": {"one": -1, "other": 1}}, "weights.one: .* greater than or equal"),
        (members, {"weights": {"one": 0, "other": 0}}, "must have a number above 0"),
        (members, {"bias": np.nan}, "RankerEnsemble: bias: "),
        (many | {"score": members["one"]}, {}, "Received: 'score'"),
    ]:
        with pytest.raises(InputError, match=says) as raised:
            RankerEnsemble(given, **options)
        assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="Blend: members: 'ensemble' must rank the catalogue"):
        Blend(many)


def test_members_read_the_same_features(make_events):
    rows = [(user, item, second) for second, (user, item) in enumerate(TRAIN)]
    events = make_events(rows, items="abcde", hour=[1.0, 2, 3, 4, 5], day=[1.0, 2, 3, 1, 2])

    def ranker(*columns):
        context = [{"kind": "number", "column": column} for column in columns]
        return Ranker(events, **SMALL, features={"context": context})

    with pytest.raises(InputError, match=r"the same context side, or none.* others of 'day' than"):
        RankerEnsemble({"hour": ranker("hour"), "day": ranker("day")})
    some = RankerEnsemble({"none": ranker(), "hour": ranker("hour")})
    assert some.spec.context_side == some.members["hour"].spec.context_side
