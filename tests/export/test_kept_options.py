"""What is not given to an export is as in the version before."""

import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import ParityLimits, Recommender, export
from tfrec_fusion.export.exporter import _tell_changed_signatures
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.signature import Signature, Tensor

ITEMS = pd.DataFrame(
    {"item_id": [f"i{i}" for i in range(12)], "brand": [f"b{i % 3}" for i in range(12)]}
)
RULES = {"block": [{"item": "i3"}]}


def _events(items=ITEMS):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, 8, 90)],
            "item_id": [f"i{i}" for i in rng.integers(0, 12, 90)],
            "timestamp": 1.7e9 + np.arange(90) * 86_400.0,
        }
    )
    vectors = {"text": rng.normal(size=(12, 4)).astype(np.float32)}
    return Interactions.from_frame(frame, Catalogue(items, vectors))


@pytest.fixture(scope="module")
def events():
    return _events()


@pytest.fixture(scope="module")
def model(events):
    return TwoTower(events, dim=4, trend_hidden=4)


@pytest.fixture(scope="module")
def exported_once(model, events, tmp_path_factory):
    return export(
        model,
        events,
        tmp_path_factory.mktemp("kept") / "shop",
        deployment=False,
        filters=["brand"],
        rules=RULES,
        explain=True,
        precision="bfloat16",
        limits=ParityLimits(overlap_10=0, overlap_100=0, ndcg_loss=1),
    )


@pytest.fixture
def first(exported_once, tmp_path):
    """A copy of the version, in a folder of its own."""
    shutil.copytree(exported_once.parent, tmp_path / "shop")
    return tmp_path / "shop" / exported_once.name


@pytest.mark.slow
def test_a_plain_export_keeps_and_says_what_the_version_before_had(first, model, events, caplog):
    with caplog.at_level(logging.WARNING):
        second = export(model, events, first.parent, deployment=False)
    told = "filters, rules, precision, explain taken over from version 1; pass filters=()"
    assert told in caplog.text
    one, two = Recommender(first).card, Recommender(second).card
    for name in ("filters", "rules", "precision", "explain"):
        assert one[name] == two[name]
    assert two["filters"] == ["brand"] and two["precision"] == "bfloat16"
    assert one["kept"] == [] and sorted(two["kept"]) == sorted(
        ["filters", "rules", "explain", "precision"]
    )
    answered = {item for item, _ in Recommender(second).recommend("u1", k=12)}
    assert "i3" not in answered


@pytest.mark.slow
def test_each_can_be_left_out(first, model, events, caplog):
    nothing = {"filters": (), "rules": {}, "explain": False, "precision": "float32"}
    with caplog.at_level(logging.WARNING):
        card = Recommender(export(model, events, first.parent, deployment=False, **nothing)).card
    assert "taken over from" not in caplog.text
    assert (card["filters"], card["rules"], card["precision"]) == ([], None, "float32")
    assert "explain" not in card and card["kept"] == []
    # The next one goes by this one, not by the first.
    card = Recommender(export(model, events, first.parent, deployment=False)).card
    assert (card["filters"], card["rules"], card["kept"]) == ([], None, [])


def test_inputs_that_the_version_before_had_not_are_told(tmp_path, caplog):
    (tmp_path / "1").mkdir()
    signatures = {"best": {"inputs": {"user_id": "string [B]: ids"}, "outputs": {}}}
    (tmp_path / "1" / "model_card.json").write_text(json.dumps({"signatures": signatures}))
    user, more = Tensor("user_id", "string"), Tensor("user_age", "float64")
    with caplog.at_level(logging.WARNING):
        _tell_changed_signatures(tmp_path, [Signature("best", "", (user,), ())])
        _tell_changed_signatures(tmp_path, [Signature("other", "", (user, more), ())])
    assert "inputs that the latest" not in caplog.text
    with caplog.at_level(logging.WARNING):
        _tell_changed_signatures(tmp_path, [Signature("best", "", (user, more), ())])
    assert "inputs that the latest version had not: user_age (best)" in caplog.text


def test_a_filter_that_is_kept_and_impossible_says_so(first, model):
    plain = _events(ITEMS.drop(columns="brand"))
    with pytest.raises(InputError, match=r"'brand'.*latest version's .*filters.*filters=\(\)"):
        export(model, plain, first.parent, deployment=False)


@pytest.mark.slow
def test_another_kind_of_model_leaves_them_out_and_says_so(first, events, caplog):
    ranker = Ranker(events, dim=4, hidden=(4,))
    limits = ParityLimits(overlap_10=0, overlap_100=0, ndcg_loss=1)
    with caplog.at_level(logging.WARNING):
        version = export(ranker, events, first.parent, deployment=False, limits=limits)
    card = json.loads((version / "model_card.json").read_text())
    assert "latest version is of a TwoTower; its filters and rules and explain" in caplog.text
    assert card["kept"] == ["precision"] and card["precision"] == "bfloat16"
