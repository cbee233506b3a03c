import inspect
import json

import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.embeddings import SpectralFusion
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import as_of_examples, autoencoder_examples, held_out_examples
from tfrec_fusion.models import TwoTowerConfig
from tfrec_fusion.training import RunConfig
from tfrec_fusion.training.config_files import merged, read_mapping
from tfrec_fusion.training.config_sections import (
    AsOfSection,
    AutoencoderSection,
    HeldOutSection,
    SpectralSection,
)

DATA = {"interactions": "events.parquet", "items": "items.parquet"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"model": {"dimm": 8}}, "config: model.dimm: unknown key; the keys here are dim, fusion"),
        ({"model": {"dim": -3}}, "config: model.dim: Input should be greater than 0. Received: -3"),
        ({"model": {"kind": "gpt"}}, "config: model.kind: must be one of two_tower"),
        ({"model": {"fusion": "stir"}}, "config: model.fusion: must be one of sum, concat, "),
        (
            {"model": {"kind": "ranker", "backbone": "dlrm", "backbone_options": {"maps": [3]}}},
            "config: model.backbone_options: backbone 'dlrm' takes bottom, hidden, dropout. "
            "Received: {'maps': [3]}",
        ),
        (
            {"model": {"kind": "ranker", "backbone": "bst", "backbone_options": {"blocks": 0}}},
            "config: model.backbone_options: blocks must be a whole number of 1 or more. "
            "Received: {'blocks': 0}",
        ),
        ({"epoch": 3}, "config: epoch: unknown key; the keys here are data, split, model"),
        (
            {"split": {"test": 1.5}},
            "config: split.test: Input should be less than 1. Received: 1.5",
        ),
        ({"split": {"kind": "odd"}}, "config: split.kind: Input should be 'temporal'"),
        ({"examples": {"kind": "as_of", "share": 0.1}}, "config: examples.share: unknown key; "),
        (
            {"examples": {"horizon_days": 3}},
            "config: examples.kind: must be one of as_of, autoencoder, held_out",
        ),
        ({"data": {"items": "x"}}, "config: data.interactions: this key is needed"),
        (
            {"data": {**DATA, "vectors": {"a": 3}}},
            "config: data.vectors.a: Input should be a valid",
        ),
        ({"seed": "x"}, "config: seed: Input should be a valid integer"),
        (
            {"examples": {"kind": "as_of", "cuts_per_user": 2.5}},
            "config: examples.cuts_per_user: Input should be a valid integer",
        ),
        ({"time_budget": "soon"}, "config: time_budget: must be seconds, or a time such as '90s'"),
        ({"time_budget": float("inf")}, "config: time_budget: Input should be a finite number"),
        ({"time_budget": 0}, "config: time_budget: Input should be greater than 0. Received: 0"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(values, says):
    with pytest.raises(InputError) as error:
        RunConfig.of({"data": DATA} | values)
    assert str(error.value).startswith(says)
    assert "\n" not in str(error.value)


def test_yaml_and_json_say_the_same_and_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"data": DATA, "model": {"dim": 8}}))
    (tmp_path / "a.yaml").write_text(
        "data: {interactions: events.parquet, items: items.parquet}\nmodel: {dim: 8}\n"
    )
    config = RunConfig.load(tmp_path / "a.yaml")
    assert config == RunConfig.load(tmp_path / "a.json")
    assert config.data.items == str(tmp_path / "items.parquet")
    (tmp_path / "b.yaml").write_text(config.to_yaml())
    assert RunConfig.load(tmp_path / "b.yaml") == config


@pytest.mark.parametrize(
    ("text", "says"),
    [("- a\n", "must hold a mapping"), ("a: [", "not readable as YAML"), (None, "cannot read")],
)
def test_a_file_that_is_no_config(text, says, tmp_path):
    path = tmp_path / "c.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_mapping(path)


def test_defaults_are_those_of_what_they_configure():
    for section, function in (
        (AsOfSection, as_of_examples),
        (AutoencoderSection, autoencoder_examples),
        (HeldOutSection, held_out_examples),
        (SpectralSection, SpectralFusion.__init__),
    ):
        arguments = inspect.signature(function).parameters
        for name, field in section.model_fields.items():
            # The store that a spectral start reads is this section's own, and None is a choice.
            if name not in ("kind", "vectors") and field.default is not None:
                assert field.default == arguments[name].default, name


def test_what_is_left_open_follows_the_data(small_shop):
    shop = Catalogue.from_parquet(small_shop / "items.parquet")
    timed = Interactions.from_parquet(small_shop / "interactions.parquet", shop)
    train = timed.split("temporal").train
    resolved = RunConfig.of({"data": DATA}).resolved(train)
    assert resolved.examples == AsOfSection(candidates=None)
    assert (resolved.epochs, resolved.batch_size, resolved.learning_rate) == (2, 512, 3e-3)
    assert resolved.model.trend
    # A random split has no "before".
    split = {"split": {"kind": "random"}}
    by_chance = RunConfig.of({"data": DATA, **split, "spectral": False}).resolved(train)
    assert by_chance.examples == AutoencoderSection()
    assert (by_chance.epochs, by_chance.evaluate_every) == (15, 3)
    assert not by_chance.model.trend
    assert (resolved.model.user_layer, by_chance.model.user_layer) == (True, False)
    assert (resolved.model.id_l2, by_chance.model.id_l2) == (5e-4, 1e-4)
    assert (resolved.spectral, by_chance.spectral) == (False, False)
    chosen = RunConfig.of({"data": DATA, "epochs": 7}).resolved(train)
    assert chosen.epochs == 7
    assert chosen.resolved(train) == chosen


def test_without_times_a_run_starts_from_the_spectrum_unless_it_names_a_fusion(small_shop):
    shop = Catalogue.from_parquet(small_shop / "items.parquet")
    train = (
        Interactions.from_parquet(small_shop / "interactions.parquet", shop).split("random").train
    )
    data = {"data": DATA, "split": {"kind": "random"}}
    run = RunConfig.of(data).resolved(train)
    assert run.spectral == SpectralSection()
    # As many columns as there can be: no more than items.
    assert (run.model.dim, run.model.vectors, run.model.id_l2) == (min(1024, len(shop)), [], 0.0)
    assert (run.epochs, run.learning_rate) == (3, 1e-4)
    assert run.resolved(train) == run
    assert RunConfig.of(run.model_dump(mode="json")).resolved(train) == run
    asked = {"dim": 16, "id_dropout": 0.3, "id_l2": 1e-5}
    model = RunConfig.of({**data, "model": asked, "epochs": 0}).resolved(train).model
    assert {name: getattr(model, name) for name in asked} == asked
    for named in ({"fusion": "gate"}, {"use_ids": False}, {"vectors": ["text"]}):
        assert RunConfig.of({**data, "model": named}).resolved(train).spectral is False
    # With times there is none unless it is asked for.
    assert RunConfig.of({"data": DATA, "spectral": {}}).resolved(train).model.dim == len(shop)


def test_the_null_space_is_for_whitened_vectors_alone():
    """A start of another kind beside named vectors is no content in falling order."""
    for ordered, vectors, options, fusion in (
        (True, True, {}, "null_space"),
        (True, True, {"vectors": ["text"]}, "null_space"),
        (True, False, {"vectors": ["text"]}, "sum"),
        (True, True, {"vectors": []}, "sum"),
        (True, True, {"use_ids": False}, "sum"),
        (True, True, {"whitening_dim": None}, "sum"),
        (False, True, {}, "sum"),
        (False, False, {"fusion": "gate"}, "gate"),
    ):
        assert TwoTowerConfig(**options).completed(ordered, vectors).fusion == fusion


def test_a_difference_is_named_and_records_are_none():
    one = RunConfig.of({"data": DATA, "model": {"dim": 8}})
    assert one.difference(one) is None
    other = RunConfig.of({"data": DATA, "model": {"dim": 9}})
    assert one.difference(other) == "model.dim is 8 there and 9 here"
    recorded = RunConfig.of({"data": DATA, "model": {"dim": 8}, "recorded": {"inputs": {"a": "b"}}})
    assert one.difference(recorded) is None


def test_merging_goes_down_into_mappings():
    base, over = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5}, "d": {"e": 1}}
    assert merged(base, over) == {"a": {"b": 5, "c": 2}, "d": {"e": 1}}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}
