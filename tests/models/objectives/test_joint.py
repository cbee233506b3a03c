"""A weighted sum of several losses: values, metrics, files and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import joint_examples, ranking_examples
from tfrec_fusion.features import State
from tfrec_fusion.models import (
    BPR,
    AlphaRec,
    AuxiliaryLoss,
    CatalogueSoftmax,
    ColdDistillation,
    ContentAlignment,
    Joint,
    Ranker,
    TwoTower,
)
from tfrec_fusion.models.objectives.auxiliary import alignment_loss, distillation_loss
from tfrec_fusion.training import Run

N_USERS, N_ITEMS = 20, 16


@keras.utils.register_keras_serializable("test_joint")
class Constant(AuxiliaryLoss):
    def __init__(self, value=1.0):
        self.value = value

    def of_model(self, model, batch):
        return tf.constant(self.value)

    def get_config(self):
        return {"value": self.value}


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(N_ITEMS)]})
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, N_USERS, 160)],
            "item_id": rng.choice(items["item_id"], 160),
            "timestamp": 1.7e9 + rng.uniform(0, 1e7, 160),
        }
    )
    vectors = {"text": rng.normal(size=(N_ITEMS, 5)).astype(np.float32)}
    return Interactions.from_frame(frame, Catalogue(items, vectors))


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def plain(events):
    return _model(events)


def _model(events, **options):
    plain = {"dim": 4, "trend": False, "id_dropout": 0.0, "id_l2": 0.0}
    return TwoTower(events, **(plain | options))


def _first(dataset):
    return next(iter(dataset))


def test_the_total_by_hand():
    joint = Joint({"a": Constant(2.0), "b": Constant(3.0), "c": BPR()}, {"b": 0.5, "c": 0})
    losses = {"a": tf.constant(2.0), "b": tf.constant(3.0), "c": tf.constant(7.0)}
    assert joint.total(losses).numpy() == 2 + 0.5 * 3
    assert joint.weights == {"a": 1.0, "b": 0.5, "c": 0.0}


def test_a_config_rebuilds_it():
    joint = Joint({"a": CatalogueSoftmax("bfloat16"), "b": ContentAlignment(0.5)}, {"b": 0.1})
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(joint)))
    again = keras.saving.deserialize_keras_object(saved)
    assert again.get_config() == joint.get_config()
    assert again.terms["a"].matmul_dtype == "bfloat16" and again.terms["b"].temperature == 0.5


@pytest.mark.parametrize("kind", ["as_of", "held_out", "autoencoder", "pairs", "sequence"])
def test_it_is_the_weighted_sum_on_examples_of_every_kind(kind, events):
    user = "sasrec" if kind == "sequence" else "history"
    options = {"user_options": {"dropout": 0.0}} if user == "sasrec" else {}
    model = _model(events, user=user, **options)
    batch = _first(events.batches(8, examples=kind))
    found = {}
    for name in ("softmax", "bpr"):
        model.compile(loss=name)
        found[name] = float(model.compute_loss(batch, training=True))
    terms = {"ranking": "softmax", "pairs": "bpr", "content": "alignment"}
    model.compile(loss=terms, loss_weights={"pairs": 0.25, "content": 0.5})
    expected = found["softmax"] + 0.25 * found["bpr"] + 0.5 * alignment_loss(model, batch)
    model.reset_metrics()
    np.testing.assert_allclose(model.compute_loss(batch, training=True), expected, rtol=1e-5)
    logs = {metric.name: float(metric.result()) for metric in model.metrics}
    # Metrics of the terms are not weighted.
    assert logs["ranking_loss"] == pytest.approx(found["softmax"], rel=1e-5)
    assert logs["pairs_loss"] == pytest.approx(found["bpr"], rel=1e-5)
    assert logs["content_loss"] == pytest.approx(float(alignment_loss(model, batch)), rel=1e-5)
    assert logs["loss"] == logs["softmax_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_terms_read_the_examples_of_their_names(events):
    model = _model(events, user="sasrec", user_options={"dropout": 0.0})
    cuts, ordered = events.batches(8), events.batches(4, examples="sequence")
    batch = _first(joint_examples(cuts, order=ordered))
    own = {name: value for name, value in batch.items() if "/" not in name}
    theirs = {n.partition("/")[2]: v for n, v in batch.items() if "/" in n}
    model.compile()
    expected = model.compute_loss(own) + 0.5 * model.compute_loss(theirs)
    terms = {"cuts": "softmax", "order": "softmax"}
    model.compile(loss=terms, loss_weights={"order": 0.5})
    np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-5)
    # Without examples of its own a term reads the batch's.
    total = model.compute_loss(own)
    model.compile()
    np.testing.assert_allclose(total, 1.5 * model.compute_loss(own), rtol=1e-5)


def test_the_norm_of_ids_is_that_of_all_items_that_are_read(events):
    """Each kind has 3 sampled candidates or all items, and ids are drawn at random."""
    model = _model(events, user="sasrec", user_options={"dropout": 0.0}, id_l2=2.0)
    cuts = events.batches(8, candidates=3)
    for candidates in (3, None):
        ordered = events.batches(4, examples="sequence", candidates=candidates)
        batch = _first(joint_examples(cuts, order=ordered))
        model.compile(loss={"cuts": "softmax", "order": "softmax"})
        added = model.compute_loss(batch, training=True) - model.compute_loss(batch)
        rows = np.arange(N_ITEMS)
        if candidates:
            rows = np.union1d(batch["candidate"], batch["order/candidate"])
        table = model.tower.ids.table.numpy()[rows]
        np.testing.assert_allclose(added, np.square(table).sum(), rtol=1e-3)


def test_distillation_is_a_term(events):
    model = _model(events)
    batch = _first(events.batches(8))
    model.compile(loss={"ranking": "softmax", "cold": ColdDistillation(2.0)})
    total = model.compute_loss(batch)
    model.compile()
    expected = model.compute_loss(batch) + distillation_loss(model, batch, 2.0)
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_the_mlp_of_the_alignment_is_there_while_it_is_a_term(events):
    model = _model(events)
    before = len(model.trainable_weights)
    for _ in range(2):
        model.compile(loss={"ranking": "softmax", "content": "alignment"})
        assert len(model.trainable_weights) == before + 4
    model.compile(loss="softmax")
    assert len(model.trainable_weights) == before


@pytest.mark.slow
def test_fit_logs_every_term_and_a_file_keeps_the_loss_and_the_optimizer(events, tmp_path):
    model = _model(events, user="sasrec")
    terms = {"cuts": "softmax", "content": "alignment", "order": "bpr", "one": Constant()}
    weights = {"content": 0.1, "order": 0.5}
    model.compile(keras.optimizers.Adam(0.01), loss=terms, loss_weights=weights)
    batches = joint_examples(events.batches(8), order=events.batches(4, examples="sequence"))
    content = model.content_view.get_weights()
    logs = model.fit(batches, epochs=4, verbose=0, validation_data=events.batches(8)).history
    names = {"cuts_loss", "content_loss", "order_loss", "one_loss", "loss", "softmax_loss"}
    assert names | {f"val_{name}" for name in names} <= set(logs)
    for name in ("cuts_loss", "content_loss", "order_loss"):
        assert logs[name][-1] < logs[name][0]
    total = sum(weights.get(n, 1.0) * np.array(logs[f"{n}_loss"]) for n in ("cuts", "one"))
    total += 0.1 * np.array(logs["content_loss"])
    # Batches of sequences differ in size from those of cuts.
    assert logs["loss"] - total == pytest.approx(0.5 * np.array(logs["order_loss"]), rel=0.1)
    assert (model.content_view.get_weights()[0] != content[0]).any()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.objective.get_config() == model.objective.get_config()
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations)
    batch = _first(batches)
    np.testing.assert_allclose(loaded.compute_loss(batch), model.compute_loss(batch), rtol=1e-5)
    for one in (model, loaded):
        one.train_step(batch)
    for mine, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True])
def test_of_a_config(half, events):
    loss = {"ranking": "softmax", "content": "alignment"}
    options = {"loss": loss, "loss_weights": {"content": 0.1}, "mixed_precision": half}
    model = _model(events, **options)
    model.compile("adam")
    assert model.objective.weights == {"ranking": 1.0, "content": 0.1}
    dtype = "bfloat16" if half else "float32"
    assert model.objective.terms["ranking"].matmul_dtype == dtype
    logs = model.fit(events.batches(8, examples="pairs", history=5), verbose=0).history
    assert np.isfinite([logs["ranking_loss"], logs["content_loss"]]).all()
    again = TwoTower.from_config(json.loads(json.dumps(model.get_config())))
    assert again.config == model.config
    model.compile(loss="bpr")  # the weights of the config are those of its loss
    assert isinstance(model.objective, BPR)
    assert np.isfinite(model.scorer(State.of(events))(np.arange(3))).all()


def test_an_alpha_rec_sums_losses_of_the_same_negatives(events):
    model = AlphaRec(events, dim=4, negatives=None)
    batch = _first(events.batches(8, examples="pairs"))
    expected = 0.0
    for name, weight in (("softmax", 1.0), ("bpr", 0.5)):
        model.compile(loss=name)
        expected += weight * model.compute_loss(batch)
    model.compile(loss={"ranking": "softmax", "pairs": "bpr"}, loss_weights={"pairs": 0.5})
    np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-5)
    with pytest.raises(InputError, match=r"AlphaRec: compile: loss: 'content': ContentAlignment"):
        model.compile(loss={"ranking": "softmax", "content": "alignment"})


@pytest.mark.parametrize(
    ("loss", "weights", "told"),
    [
        ({}, None, r"loss: at least one term is needed"),
        ({"softmax": "softmax"}, None, r"name must be .* not be softmax or search.*'softmax'"),
        ({"a b": "softmax"}, None, r"name must be letters, digits and _.*'a b'"),
        ({"a": "mse"}, None, r"'a': must be one of softmax, .*distillation.*'mse'"),
        ({"a": "nowhere:Loss"}, None, r"'a': loss: 'nowhere:Loss' cannot be imported"),
        ({"a": 3}, None, r"'a': must be one of .*Received: 3"),
        ({"a": "bpr"}, {"b": 1.0}, r"loss_weights: the loss has no term 'b'; its terms are a"),
        ({"a": "bpr"}, {"a": -1}, r"'a': must be a finite number of at least 0. Received: -1"),
        ({"a": "bpr"}, {"a": float("nan")}, r"must be a finite number.*Received: nan"),
        ({"a": "bpr"}, {"a": True}, r"must be a finite number.*Received: True"),
        ({"a": "bpr"}, {"a": 0}, r"one of a must be above 0, or nothing is trained"),
        ({"a": "bpr"}, [1.0], r"loss_weights: must be a dict.*Received: \[1.0\]"),
        ("bpr", {"a": 1.0}, r"loss_weights are for a loss of several terms.*Received: loss='bpr'"),
    ],
)
def test_losses_and_weights_that_are_refused(loss, weights, told, plain):
    with pytest.raises(InputError, match=rf"^TwoTower: compile: .*{told}"):
        plain.compile(loss=loss, loss_weights=weights)


def test_options_that_are_refused(events):
    for options, told in (
        ({"loss": {"a": "mse"}}, r"loss: 'a': must be one of softmax"),
        ({"loss": {}}, r"loss: at least one term is needed"),
        ({"loss": {"a": "bpr"}, "loss_weights": {"b": 1}}, r"loss_weights: the loss has no term"),
        ({"loss": "bpr", "loss_weights": {"b": 1}}, r"loss_weights: are for a loss of several"),
    ):
        with pytest.raises(InputError, match=f"TwoTower: {told}"):
            _model(events, **options)


def test_models_and_examples_that_do_not_suit_a_term_are_refused(events, plain):
    with pytest.raises(InputError, match=r"loss: 'c': alignment compares ids with content"):
        _model(events, vectors=[]).compile(loss={"a": "softmax", "c": "alignment"})
    model = plain
    pairs = events.batches(8, examples="pairs", history=5)
    model.compile(loss={"a": "softmax", "cold": "distillation"})
    with pytest.raises(InputError, match=r"TwoTower: loss: 'cold': distillation needs the cand"):
        model.fit(pairs)
    model.compile(loss={"a": "softmax", "order": "softmax"})
    joint = joint_examples(events.batches(8), order=events.batches(4, examples="sequence"))
    with pytest.raises(InputError, match=r"TwoTower: loss: 'order': PooledHistory gives one vec"):
        model.fit(joint)
    with pytest.raises(InputError, match=r"examples for the term 'third' of the loss, and its te"):
        model.fit(joint_examples(pairs, third=pairs))
    with pytest.raises(InputError, match=r"each term of the loss has batches of its own"):
        model.fit(joint_examples(pairs, a=pairs, order=pairs))
    model.compile()
    with pytest.raises(InputError, match=r"the term 'order' of the loss, and it has one term alo"):
        model.fit(joint)
    with pytest.raises(InputError, match=r"Ranker: compile: loss: several losses train a TwoTower"):
        Ranker(events, dim=4).compile(loss={"a": "softmax"})
    ranking = ranking_examples(events, 8)
    model.compile(loss={"a": "softmax"})
    with pytest.raises(InputError, match=r"loss: 'a': batches of ranking_examples can only train"):
        model.fit(ranking)
    alpha = AlphaRec(events, dim=4)
    alpha.compile(loss={"a": "softmax", "b": "bpr"})
    with pytest.raises(InputError, match="AlphaRec: all terms of the loss are computed from the"):
        alpha.fit(joint_examples(pairs, b=pairs))


RUN = {
    "model": {
        "kind": "two_tower",
        "user": "decayed_history",
        "dim": 4,
        "loss": {"cuts": "softmax", "content": "alignment", "order": "softmax"},
        "loss_weights": {"content": 0.1, "order": 0.5},
    },
    "examples": {"kind": "as_of"},
    "joint": {"order": {"kind": "sequence", "batch_size": 8}},
    "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.05, "momentum": 0.9}},
}


@pytest.mark.slow
def test_a_run_that_goes_on_ends_as_one_that_was_as_long(config, tmp_path):
    whole = Run.start(tmp_path / "whole", config(**RUN, epochs=2))
    whole.train()
    assert {"cuts_loss", "content_loss", "order_loss"} <= set(whole.metrics()["history"])
    resolved = whole.config.joint["order"]
    assert resolved["max_len"] == 50 and resolved["batch_size"] == 8
    assert not whole.config.model.trend
    Run.start(tmp_path / "run", config(**RUN, epochs=1)).train()
    longer = Run.start(tmp_path / "run", config(**RUN, epochs=2))
    longer.train()
    for name, values in whole.metrics()["history"].items():
        assert longer.metrics()["history"][name] == pytest.approx(values, abs=1e-5), name
    for mine, theirs in zip(longer.model().weights, whole.model().weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_configs_that_are_refused(config):
    for change, told in (
        ({"joint": {"third": {"kind": "sequence"}}}, r"joint: model.loss has no term 'third'; its"),
        ({"joint": {"order": {}}}, r"joint\.order: examples\.kind: must be one of"),
        ({"joint": {"order": {"kind": "sequence", "max_le": 3}}}, r"joint\.order: .*max_le.*unkno"),
        ({"joint": {"order": {"kind": "sequence", "batch_size": 0}}}, r"joint\.order: batch_size"),
        ({"model": {"kind": "ease"}, "examples": None, "optimizer": None}, r"joint applies only"),
        ({"model": {"dim": 4}}, r"joint: model.loss has no term 'order'; it has one term alone"),
    ):
        with pytest.raises(InputError, match=told):
            config(**{**RUN, **change})
