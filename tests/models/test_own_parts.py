"""A user's own fusion, loss, user tower and backbone, of ten lines each."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import own_parts
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.export import export
from tfrec_fusion.features import State
from tfrec_fusion.layers import Fusion, GateFusion
from tfrec_fusion.models import (
    AlphaRec,
    Backbone,
    Objective,
    PooledHistory,
    Ranker,
    TwoTower,
    UserTower,
)
from tfrec_fusion.training import Run, RunConfig

DAY = 86_400
# kind -> options of a run's model
OWN = {
    "fusion": {"fusion": "own_parts:Longest"},
    "loss": {"loss": "own_parts:Hinge"},
    "user": {"user": "own_parts:Latest"},
    "backbone": {"kind": "ranker", "backbone": "own_parts:Squares"},
    "backbone of a history": {"kind": "ranker", "backbone": "own_parts:Nearest"},
    "backbone of fields": {"kind": "ranker", "backbone": "own_parts:Sums"},
}


@pytest.fixture(scope="module")
def events():
    """u bought a, then b; v bought b, then c; nobody bought d. The texts are (1, 0) to (0, 4)."""
    rows = [("u", "a", 1), ("u", "b", 2), ("v", "b", 1), ("v", "c", 3)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame["timestamp"] = 1.6e9 + DAY * frame["timestamp"]
    text = np.array([[1, 0], [0, 2], [3, 0], [0, 4]], np.float32)
    catalogue = Catalogue(pd.DataFrame({"item_id": list("abcd")}), {"text": text})
    return Interactions.from_frame(frame, catalogue)


def _plain(events, **options):
    """A model whose scores are dot products of user vectors and fused vectors."""
    model = TwoTower(events, dim=2, trend=False, whitening_dim=None, **options)
    if "text" in model.tower.frozen:
        model.tower.frozen["text"].kernel.assign(np.eye(2))
    return model


@pytest.mark.parametrize("fusion", ["own_parts:Longest", own_parts.Longest, own_parts.Longest(2)])
def test_a_fusion_fuses_as_it_says(events, fusion):
    model = _plain(events, fusion=fusion, user="id")
    model.tower.ids.table.assign([[2, 3], [1, 1], [1, 5], [0, 0]])
    model.user_tower.ids.table.assign([[1, 10], [0, 1]])
    # max((1, 0), (2, 3)) = (2, 3), max((0, 2), (1, 1)) = (1, 2) and max((3, 0), (1, 5)) = (3, 5);
    # d has no id, but its text (0, 4). A sum would be (3, 3), (1, 3), (4, 5) and (0, 4).
    scores = model.scorer(State.of(events))(np.array([0, 1]))
    np.testing.assert_allclose(scores, [[32, 21, 53, 40], [3, 2, 5, 4]])


def _two_rows():
    """Users 0 and 1 score a to d; the targets are b, user 0 had a, and the weights are 1 and 2."""
    return {
        "user": tf.constant([0, 1]),
        "weight": tf.constant([1.0, 2.0]),
        "history_item": tf.constant([0]),
        "history_row": tf.constant([0]),
        "history_age": tf.constant([1.0]),
        "target": tf.constant([[0, 1], [1, 1]]),
        "masked": tf.constant([[0, 0]]),
        "item_features": tf.zeros([4, 0]),
        "is_warm": tf.ones([4], tf.bool),
    }


@pytest.mark.parametrize("loss", ["own_parts:Hinge", own_parts.Hinge, own_parts.Hinge()])
def test_a_two_tower_minimises_the_loss_it_is_given(events, loss):
    model = _plain(events, user="id", vectors=[], fusion="sum", id_l2=0.0)
    model.tower.ids.table.assign([[2, 0], [1, 1], [0, 3], [0, 0]])
    model.user_tower.ids.table.assign([[1, 0], [0, 1]])
    model.compile("sgd", loss=loss)
    # Scores: user 0 has 2, 1, 0, 0, and a is masked: the best other is 0, and 1 + 0 - 1 = 0.
    # User 1 has 0, 1, 3, 0: the best other is 3, and 1 + 3 - 1 = 3, which counts twice.
    np.testing.assert_allclose(model.compute_loss(_two_rows()), (1 * 0 + 2 * 3) / 2)
    # Of pairs the candidates are the batch's items, here b and c, with log q taken off.
    pairs = {
        "user": tf.constant([0, 1]),
        "item": tf.constant([1, 2]),
        "log_q": tf.constant([0.5, 0.0]),
    }
    # User 0: 1 - .5 and 0, so 1 + 0 - .5 = .5. User 1: 1 - .5 and 3, so 1 + .5 - 3 < 0.
    np.testing.assert_allclose(model.compute_loss(pairs), 0.25)


def test_a_ranker_minimises_it_over_the_items_of_a_row(events):
    batch = next(iter(ranking_examples(events, 4, negatives=1, history=2)))
    batch["weight"] = tf.constant([1.0, 2.0, 3.0, 4.0])
    model = Ranker(events, dim=2, hidden=[2])
    model.compile("sgd", "own_parts:Hinge")
    logits, labels = model(batch).numpy(), batch["label"].numpy()
    taken = np.where(labels > 0, logits, -np.inf).max(1)
    other = np.where(labels > 0, -np.inf, logits).max(1)
    expected = (np.maximum(1 + other - taken, 0) * [1, 2, 3, 4]).mean()
    np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-5)
    # A loss of Keras's compares labels with logits one by one, and may be one's own too.
    model.compile("sgd", "mse")
    each = ((logits - labels) ** 2).mean(1)
    np.testing.assert_allclose(model.compute_loss(batch), (each * [1, 2, 3, 4]).mean(), rtol=1e-5)


def test_an_alpha_rec_minimises_it_over_the_drawn_items(events):
    model = AlphaRec(events, dim=2, hidden=2, whitening_dim=None, negatives=None, temperature=0.5)
    batch = {"user": tf.constant([0, 1]), "item": tf.constant([0, 2])}
    scores = model(batch).numpy() / 0.5
    model.compile("sgd", loss="own_parts:Hinge")
    other = np.where([[1, 0, 0, 0], [0, 0, 1, 0]], -np.inf, scores).max(1)
    expected = np.maximum(1 + other - scores[[0, 1], [0, 2]], 0).mean()
    np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-5)
    model.compile("sgd")
    softmax = model.compute_loss(batch)
    model.compile("sgd", loss="softmax")
    np.testing.assert_allclose(model.compute_loss(batch), softmax, rtol=1e-5)


@pytest.mark.parametrize("user", ["own_parts:Latest", own_parts.Latest, own_parts.Latest()])
def test_a_user_tower_scores_as_it_says(events, user):
    model = _plain(events, user=user, vectors=[], fusion="sum")
    model.tower.ids.table.assign([[1, 0], [2, 1], [0, 3], [0, 0]])
    model.scale.assign(10.0)
    # The latest of u is b, (2, 1), and that of v is c, (0, 3). Of an unknown user there is none.
    scores = model.scorer(State.of(events))(np.array([0, 1, -1]))
    np.testing.assert_allclose(scores, [[20, 50, 30, 0], [0, 30, 90, 0], [0, 0, 0, 0]])


def test_a_backbone_ranks_as_it_says(events):
    model = Ranker(events, dim=2, backbone="own_parts:Squares", trend=False)
    batch = next(iter(ranking_examples(events, 4, negatives=1, history=2)))
    x0 = model.features(batch).numpy()
    width = x0.shape[-1]
    kernel = np.zeros([2 * width, 1])
    kernel[1], kernel[width] = 3, 2
    model.head.linear.kernel.assign(kernel)
    model.head.linear.bias.assign([1.0])
    expected = 2 * x0[..., 0] ** 2 + 3 * x0[..., 1] + 1
    np.testing.assert_allclose(model(batch), expected, rtol=1e-5, atol=1e-6)


def test_a_backbone_reads_the_history(events):
    model = Ranker(events, dim=2, backbone="own_parts:Nearest", vectors=[], trend=False)
    model.tower.ids.table.assign([[1, 0], [2, 1], [0, 3], [5, 5]])
    batch = {
        "user": tf.constant([0, 1]),
        "item": tf.constant([[1, 2], [0, 3]]),
        "history": tf.constant([[0, 1], [-1, -1]]),
        "history_age": tf.zeros([2, 2]),
        "item_features": tf.zeros([2, 2, 0]),
        "is_warm": tf.ones([2, 2], tf.bool),
    }
    # b is (2, 1) and had a, (1, 0), and itself: max(2, 5); c is (0, 3): max(0, 3). The other user
    # has no history.
    found = model.backbone(model.features(batch))[..., -1]
    np.testing.assert_allclose(found, [[5, 3], [-1, -1]])


def test_a_backbone_reads_fields(events):
    model = Ranker(events, dim=2, backbone=own_parts.Sums, user="id", vectors=[], trend=False)
    model.tower.ids.table.assign([[1, 0], [2, 1], [0, 3], [5, 5]])
    model.features.user_tower.ids.table.assign([[10, 100], [0, 0]])
    batch = {
        "user": tf.constant([0]),
        "item": tf.constant([[1, 2]]),
        "item_features": tf.zeros([1, 2, 0]),
        "is_warm": tf.ones([1, 2], tf.bool),
    }
    # Item, user and product: (2, 1) + (10, 100) + (20, 100) and (0, 3) + (10, 100) + (0, 300).
    np.testing.assert_allclose(
        model.backbone(model.features(batch)), [[[32, 201], [10, 403]]], rtol=1e-5
    )


@pytest.fixture(scope="module")
def runs(small_shop, tmp_path_factory):
    """kind -> a run of a config that names the part, trained and evaluated."""
    found, folder = {}, tmp_path_factory.mktemp("runs")
    data = {
        "interactions": str(small_shop / "interactions.parquet"),
        "items": str(small_shop / "items.parquet"),
        "vectors": {"text": str(small_shop / "text.npy")},
    }
    for kind, options in OWN.items():
        sizes = {"dim": 4} if kind.startswith("backbone") else {"dim": 4, "trend_hidden": 2}
        config = {"data": data, "model": sizes | options, "epochs": 1, "batch_size": 64}
        found[kind] = Run.start(folder / kind, RunConfig.of(config))
        found[kind].train()
    return found


@pytest.fixture(scope="module")
def answers(runs, tmp_path_factory):
    """kind -> scores of the export in a process that lacks this package and `own_parts`."""
    folder, todo = tmp_path_factory.mktemp("exports"), []
    for kind, run in runs.items():
        events = run.split.train
        version = export(run.model(), events, folder / kind)
        users = events.users.ids[:5]
        items = np.tile(events.catalogue.vocabulary.ids, (5, 1))
        inputs = {"user_id": users, "item_id": items}
        signature = "serving_default" if kind.startswith("backbone") else "score"
        todo.append((str(version), signature, inputs))
    (folder / "requests").write_bytes(pickle.dumps(todo))
    script = Path(__file__).parents[1] / "fixtures" / "clean_process.py"
    command = [sys.executable, script, folder / "requests", folder / "answers"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = pickle.loads((folder / "answers").read_bytes())
    return {kind: answer["score"] for kind, answer in zip(runs, found, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
def test_a_run_that_names_it_trains_evaluates_and_exports_it(kind, runs, answers):
    run = runs[kind]
    metrics = run.metrics()
    assert np.isfinite(metrics["history"]["loss"]).all()
    assert metrics["evaluation"]
    model = Run.open(run.folder).model()
    part = {
        "fusion": lambda: model.tower.fusion,
        "loss": lambda: model.objective,
        "user": lambda: model.user_tower,
        "backbone": lambda: model.backbone,
    }[kind.partition(" ")[0]]()
    assert type(part).__module__ == "own_parts"
    expected = model.scorer(State.of(run.split.train))(np.arange(5, dtype=np.int32))
    np.testing.assert_allclose(answers[kind], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"user": own_parts.Latest()}, {"fusion": own_parts.Longest}])
def test_a_model_with_an_object_comes_back_from_a_file(events, options, tmp_path):
    model = TwoTower(events, dim=2, whitening_dim=None, trend=False, **options)
    model.compile(keras.optimizers.SGD(0.1), loss=own_parts.Hinge())
    model.fit(events.batches(4, examples="pairs", history=2), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    users = np.array([0, 1])
    np.testing.assert_allclose(
        loaded.scorer(State.of(events))(users), model.scorer(State.of(events))(users)
    )


def test_a_ranker_with_a_backbone_comes_back_from_a_file(events, tmp_path):
    model = Ranker(events, dim=2, trend=False, backbone=own_parts.Squares())
    batches = ranking_examples(events, 4, negatives=1, history=2)
    model.compile(keras.optimizers.SGD(0.1), loss=own_parts.Hinge)
    assert np.isfinite(model.fit(batches, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    batch = next(iter(batches))
    np.testing.assert_allclose(loaded(batch), model(batch), rtol=1e-5)


def test_an_own_tower_is_not_trained_on_histories_that_have_the_target(events, small_shop):
    model = TwoTower(events, dim=2, trend=False, user=own_parts.Latest)
    with pytest.raises(InputError, match=r"Latest cannot subtract an item.*'held_out' or 'pairs'"):
        model.compute_loss(next(iter(events.batches(4, examples="autoencoder"))))
    loss = model.compute_loss(next(iter(events.batches(4, examples="held_out", seed=0))))
    assert np.isfinite(loss)
    # So a run without times takes other examples than it does for the built-in tower.
    data = {
        "interactions": str(small_shop / "interactions.parquet"),
        "items": str(small_shop / "items.parquet"),
    }
    for user, kind in (("own_parts:Latest", "held_out"), ("history", "autoencoder")):
        model = {"user": user}
        config = RunConfig.of({"data": data, "model": model, "split": {"kind": "random"}})
        assert config.resolved(events).examples.kind == kind


def test_a_pooled_history_as_an_object_is_the_one_by_name(events):
    models = []
    for user in ("both", PooledHistory(reads="both", id_dropout=0.1)):
        keras.utils.set_random_seed(0)
        models.append(TwoTower(events, dim=2, user=user))
    by_name, by_object = (model.scorer(State.of(events))(np.array([0, 1])) for model in models)
    np.testing.assert_array_equal(by_name, by_object)


class _Wide(UserTower):
    def call(self, users, training=None):
        return tf.zeros([tf.size(users["user"]), self.dim + 1])


class _Forgetful(UserTower):
    def __init__(self, blocks=2, **kwargs):
        super().__init__(**kwargs)
        self.blocks = blocks


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"user": "nobody"}, "user: must be one of history, id, both, .*, module:Class"),
        ({"user": "no_such_module:Tower"}, "user: 'no_such_module:Tower' cannot be imported"),
        ({"user": "own_parts:Longest"}, "user: must be .* registered name of a UserTower"),
        ({"user": _Forgetful(3)}, "user: get_config of _Forgetful lacks .* 'blocks'"),
        ({"user": PooledHistory(3)}, "user: must be a serialized UserTower of dim 2.*Received: 3"),
        (
            {"user": "id", "user_options": {"reads": "both"}},
            "user_options: are not for the history pools",
        ),
        ({"user": "own_parts:Latest", "user_options": {"k": 1}}, "takes no options"),
        ({"fusion": 3}, "fusion: must be one of sum, .* or a Fusion"),
        ({"loss": "hinges"}, "loss: must be one of softmax, refined_softmax"),
    ],
)
def test_what_is_no_part_of_a_two_tower(events, options, says):
    with pytest.raises(InputError, match=says) as error:
        TwoTower(events, dim=2, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"backbone": "wide"}, "backbone: must be one of dcn_v2, .*, module:Class"),
        ({"backbone": "own_parts:Squares", "hidden": [8]}, "hidden: is only for .*dcn_v2"),
        ({"backbone_options": {"hidden": [8]}}, "backbone_options: hidden of dcn_v2 is an option"),
        (
            {"backbone": "auto_int", "backbone_options": {"units": 7}},
            "backbone_options: dim must be a multiple of heads, .*Received: {'units': 7}",
        ),
        (
            {"backbone": "final_mlp", "backbone_options": {"gates": ["user", "context"]}},
            "backbone_options: gates must be two of item, user, product. Received: 'context'",
        ),
        (
            {"backbone": "bst", "backbone_options": {"heads": 3}},
            r"backbone_options: heads must divide dim \+ position_units, 10\. Received: 3",
        ),
        (
            {"backbone": "wide_deep", "backbone_options": {"hidden": 5}},
            "backbone_options: hidden must",
        ),
        ({"backbone": "din", "user": "id"}, "backbone: it reads the history, which user='id'"),
    ],
)
def test_what_is_no_part_of_a_ranker(events, options, says):
    with pytest.raises(InputError, match=f"^Ranker: {says}"):
        Ranker(events, dim=2, **options)


def _returning(base, method, value):
    """A class whose method returns what it should not."""
    return type("Wrong", (base,), {method: lambda self, *args, **kwargs: value})


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (None, "NoneType"),
        (tf.zeros([4, 5]), r"float32 \(4, 5\)"),
        (tf.zeros([2]), r"float32 \(2,\)"),
        (tf.zeros([4, 2], tf.int32), r"int32 \(4, 2\)"),
    ],
)
def test_a_fusion_that_returns_something_else(value, received):
    layer = _returning(Fusion, "fuse", value)(2)
    with pytest.raises(InputError, match=rf"Wrong.fuse must return floats \[..., 2\].*{received}"):
        layer({"id": tf.zeros([4, 2])})


@pytest.mark.parametrize("reads", [("x0", "pixels"), ()])
def test_a_backbone_that_reads_something_else(events, reads, monkeypatch):
    monkeypatch.setattr(own_parts.Squares, "reads", reads)
    with pytest.raises(InputError, match=r"^Ranker: backbone: reads: must name some of x0, .*\("):
        Ranker(events, dim=2, backbone=own_parts.Squares)


@pytest.mark.parametrize("value", [None, tf.zeros([]), tf.zeros([2, 1]), tf.zeros([2], tf.int32)])
def test_a_loss_that_returns_something_else(value):
    loss = _returning(Objective, "call", value)()
    with pytest.raises(InputError, match=r"loss: Wrong.call must return floats \[B\]"):
        loss(tf.constant([[0, 1], [1, 0]]), tf.zeros([2, 2]))


def test_a_backbone_that_returns_something_else(events):
    class Flat(Backbone):
        def call(self, x0, training=None):
            return x0[..., 0]

    keras.saving.register_keras_serializable("test")(Flat)
    with pytest.raises(InputError, match="Ranker: backbone: Flat must return floats"):
        Ranker(events, dim=2, backbone=Flat)


@pytest.mark.parametrize("fusion", [own_parts.Longest(2), GateFusion(2)])
def test_a_model_with_a_fusion_as_an_object_is_exported(events, fusion, tmp_path):
    model = TwoTower(events, dim=2, fusion=fusion)
    version = export(model, events, tmp_path / "shop", deployment=False)
    card = json.loads((version / "model_card.json").read_text())
    assert type(fusion).__name__ in json.dumps(card)


def test_a_tower_of_another_size_and_losses_that_are_none(events):
    with pytest.raises(InputError, match=r"user: _Wide must return floats \[B, 2\].*3"):
        TwoTower(events, dim=2, user=_Wide)
    for model in (TwoTower(events, dim=2), AlphaRec(events, dim=2)):
        name = type(model).__name__
        for loss in ("own_parts:Latest", keras.losses.MeanSquaredError(), lambda y, x: x):
            with pytest.raises(InputError, match=f"^{name}: compile: loss: .* or an Objective"):
                model.compile("sgd", loss=loss)
    with pytest.raises(InputError, match=r"compile: loss: must be one of softmax, .*'hinges'"):
        Ranker(events, dim=2).compile("sgd", "hinges")
    with pytest.raises(InputError, match=r"Hinge: reduction: .* Received: 'sum'"):
        own_parts.Hinge(reduction="sum")
    assert issubclass(own_parts.Hinge, Objective)
