import json

import numpy as np
import pytest
from google.protobuf import text_format
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins import projector
from tensorboard.plugins.projector.projector_plugin import _read_tensor_binary_file

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.evaluation import evaluate, evaluate_ranker, feature_importance
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import Cross, Features, Tags
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.optimizers import adam
from tfrec_fusion.training import TensorBoard, write_projector
from tfrec_fusion.training.inputs import load_split


@pytest.fixture(scope="module")
def trained(small_shop, tmp_path_factory):
    from tfrec_fusion.training import RunConfig

    data = {name: str(small_shop / f"{name}.parquet") for name in ("interactions", "items")}
    data["vectors"] = {"text": str(small_shop / "text.npy")}
    split = load_split(RunConfig.of({"data": data}))
    logs = tmp_path_factory.mktemp("logs")
    keras.utils.set_random_seed(0)
    features = [Tags(column="title", separator="\t"), Cross(column="item", of=("title", "title"))]
    model = TwoTower(split.train, dim=8, features=Features(item=features))
    batches = split.train.batches(16)
    model.compile(adam(1e-2, steps=3 * len(batches)))
    board = TensorBoard(logs, split=split, every=2, importance=1)
    model.fit(batches, epochs=3, verbose=0, callbacks=[board])
    events = EventAccumulator(str(logs), size_guidance={"tensors": 0})
    events.Reload()
    return model, split, len(batches), logs, events


def _scalars(events, tag):
    return {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)}


def test_losses_and_the_learning_rate(trained):
    model, _, steps, _, events = trained
    losses = _scalars(events, "batch/softmax_loss")
    assert list(losses) == list(range(10, 3 * steps + 1, 10))
    assert np.isfinite(list(losses.values())).all()
    rates = _scalars(events, "batch/learning_rate")
    schedule = model.optimizer._learning_rate
    # After step s the rate is that of the next one, which is s counted from 0.
    assert rates[10] == pytest.approx(float(schedule(9)), rel=1e-5)
    assert list(_scalars(events, "epoch/softmax_loss")) == [steps, 2 * steps, 3 * steps]


def test_examples_are_counted(trained):
    *_, steps, _, events = trained
    rates = _scalars(events, "epoch/examples_per_second")
    assert list(rates) == [steps, 2 * steps, 3 * steps]
    assert min(rates.values()) > 0
    assert "epoch/examples" not in events.Tags()["tensors"]


def test_the_full_evaluation_is_periodic_and_comes_last(trained):
    model, split, steps, _, events = trained
    expected = evaluate(model, split, bootstrap=0)
    for label in ("total", "warm", "cold"):
        values = _scalars(events, f"{label}/ndcg@10")
        # After every second epoch, and after the third, which is the last.
        assert list(values) == [2 * steps, 3 * steps]
        assert values[3 * steps] == pytest.approx(expected.metrics[label]["ndcg@10"], abs=1e-6)


@pytest.mark.slow
def test_a_ranker_logs_its_own_metrics(trained, tmp_path):
    _, split, *_ = trained
    model = Ranker(split.train, dim=4, hidden=[4])
    model.compile("sgd")
    batches = ranking_examples(split.train, 256)
    model.fit(batches, verbose=0, callbacks=[TensorBoard(tmp_path, split=split)])
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    expected = evaluate_ranker(model, split, bootstrap=0)
    for label in ("total", "cold"):
        for name in ("gauc", "auc", "ndcg@10", "log_loss", "normalised_entropy", "ece"):
            (value,) = _scalars(events, f"{label}/{name}").values()
            assert value == pytest.approx(expected.metrics[label][name], abs=1e-5)


def test_coverage_once_and_importance_in_turn(trained):
    model, split, steps, _, events = trained
    assert _scalars(events, "coverage/item/title") == {0: 1.0}
    first = _scalars(events, "importance/item/title")
    second = _scalars(events, "importance/item/item")
    assert (list(first), list(second)) == ([2 * steps], [3 * steps])
    expected = feature_importance(model, split, features=["item/item"], repeats=1)
    assert second[3 * steps] == pytest.approx(expected["drop"][0], abs=1e-6)


def test_histograms_and_the_config(trained):
    model, *_, events = trained
    assert len(events.Tensors("embeddings/item_id")) == 3
    text = tf.make_ndarray(events.Tensors("config")[0].tensor_proto).item().decode()
    lines = [line.removeprefix("    ") for line in text.splitlines()]
    assert json.loads("\n".join(lines))["dim"] == model.config.dim


def test_the_projector_reads_vectors_and_titles(trained):
    model, split, _, logs, _ = trained
    config = projector.ProjectorConfig()
    text_format.Parse((logs / "projector_config.pbtxt").read_text(), config)
    read = {
        e.tensor_name: _read_tensor_binary_file(str(logs / e.tensor_path), e.tensor_shape)
        for e in config.embeddings
    }
    assert {name: values.shape for name, values in read.items()} == {
        "text": (30, 8),
        "fused": (30, 8),
    }
    titles = (logs / config.embeddings[0].metadata_path).read_text().splitlines()
    # Items come by their number of training events; the tab of "thing<tab>3" cannot stand in a TSV.
    counts = np.bincount(split.train.item, minlength=30)
    order = np.argsort(-counts, kind="stable")
    assert titles == [f"thing {row}" for row in order]
    np.testing.assert_array_equal(read["text"], split.train.catalogue.vectors["text"].values[order])
    fused = model.tower(order.astype(np.int32), counts[order] > 0).numpy()
    np.testing.assert_allclose(read["fused"], fused, atol=1e-6)


def test_without_a_split_there_is_no_evaluation(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.legacy.SGD(0.25), "mse")
    board = TensorBoard(tmp_path, config={"a": "b"}, update_steps=1)
    model.fit(np.ones((4, 2)), np.ones(4), batch_size=2, verbose=0, callbacks=[board])
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert _scalars(events, "batch/learning_rate") == {1: 0.25, 2: 0.25}
    assert not (tmp_path / "projector_config.pbtxt").exists()


def test_a_title_of_nothing_keeps_its_line(tmp_path):
    write_projector(tmp_path, {"v": np.eye(3)}, ["a\nb", "", "c\rd\te"])
    assert (tmp_path / "projector/titles.tsv").read_text() == "a b\n(no title)\nc d e\n"
