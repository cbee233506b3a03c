"""Warnings that are told once in the folds of a choice."""

import logging

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion import auto
from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.models.classic import ItemKNN, Popularity
from tfrec_fusion.models.fit_data import warn_of_few
from tfrec_fusion.told_once import is_new, told_once
from tfrec_fusion.training import auto_compositions, choose_blend, choose_stack, choosing
from tfrec_fusion.training.recipes import trained_model


def test_an_inner_use_is_part_of_the_outer_one():
    with told_once():
        assert is_new("a", 1) and not is_new("a", 1) and is_new("a", 2)
        with told_once():
            assert not is_new("a", 1)
        assert not is_new("a", 2)
    assert is_new("a", 1) and is_new("a", 1)
    with pytest.raises(ValueError), told_once():
        raise ValueError
    with told_once():
        assert is_new("a", 1)


@pytest.fixture(scope="module")
def split():
    """30 users take 8 of 12 items."""
    rng = np.random.default_rng(0)
    rows = [(f"u{user}", f"i{item}") for user in range(30) for item in rng.permutation(12)[:8]]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    catalogue = Catalogue(pd.DataFrame({"item_id": [f"i{item}" for item in range(12)]}))
    return Interactions.from_frame(frame, catalogue).split("random")


def _warns(train):
    """Tells of few batches, of another number in each fold."""
    warn_of_few("TwoTower", tf.data.Dataset.range(1 + len(train) % 40))


def _told(caplog):
    found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return [message for message in found if message.startswith("TwoTower: fit: an epoch has ")]


def test_few_batches_are_told_once_in_all_folds(split, caplog):
    def popular(train):
        _warns(train)
        return Popularity().fit(train)

    factories = {"popular": popular, "kNN": ItemKNN().fit}
    for count in (1, 2):  # a second choice tells of it again
        choose_blend(factories, split, folds=3, progress=False)
        assert len(_told(caplog)) == count
    choose_stack(factories, split, folds=2, epochs=1, networks=1, progress=False)
    assert len(_told(caplog)) == 3


def test_few_batches_are_told_once_by_auto(split, caplog, monkeypatch):
    def training(config, train):
        _warns(train)
        return trained_model(config, train)

    for module in (choosing, auto_compositions):
        monkeypatch.setattr(module, "trained_model", training)
    monkeypatch.setattr(choosing, "stacked", lambda *_: None)
    kinds = {name: {"model": {"kind": name}} for name in ("popularity", "item_knn")}
    auto(split, candidates=kinds, progress=False)
    assert len(_told(caplog)) == 1
