"""A user's mistakes: exit code 2, one line on standard error that names what was wrong."""

import importlib.util
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.cli import main


def _train(arguments, tmp_path, *more):
    return ["train", *arguments, "--out", str(tmp_path / "run"), *more]


def _replaced(arguments, option, value):
    place = arguments.index(option) + 1
    return [*arguments[:place], str(value), *arguments[place + 1 :]]


def _config(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return ["--config", str(path)]


def _no_out(arguments, tmp_path):
    return ["train", *arguments]


def _no_data(arguments, tmp_path):
    return ["train", "--out", str(tmp_path / "run")]


def _unknown_model(arguments, tmp_path):
    return _train(arguments, tmp_path, "--model", "gpt")


def _unknown_split(arguments, tmp_path):
    return _train(arguments, tmp_path, "--split", "alphabetical")


def _unknown_option(arguments, tmp_path):
    return _train(arguments, tmp_path, "--fast")


def _unknown_command(arguments, tmp_path):
    return ["tran"]


def _seed_of_letters(arguments, tmp_path):
    return _train(arguments, tmp_path, "--seed", "abc")


def _negative_epochs(arguments, tmp_path):
    return _train(arguments, tmp_path, "--epochs", "-1")


def _absent_interactions(arguments, tmp_path):
    return _train(_replaced(arguments, "--interactions", tmp_path / "no.parquet"), tmp_path)


def _items_without_ids(arguments, tmp_path):
    pd.DataFrame({"id": ["a"]}).to_parquet(tmp_path / "items.parquet")
    return _train(_replaced(arguments, "--items", tmp_path / "items.parquet"), tmp_path)


def _vectors_of_other_items(arguments, tmp_path):
    np.save(tmp_path / "v.npy", np.ones((3, 2), np.float32))
    return _train(_replaced(arguments, "--vectors", tmp_path / "v.npy"), tmp_path)


def _two_vectors_of_one_name(arguments, tmp_path):
    return _train(arguments, tmp_path, "--vectors", str(tmp_path / "other.npy"))


def _a_folder_that_is_no_store(arguments, tmp_path):
    (tmp_path / "store").mkdir()
    return _train(_replaced(arguments, "--vectors", tmp_path / "store"), tmp_path)


def _min_rating_that_nobody_gave(arguments, tmp_path):
    return _train(arguments, tmp_path, "--min-rating", "9")


def _absent_config(arguments, tmp_path):
    return _train(arguments, tmp_path, "--config", str(tmp_path / "no.yaml"))


def _config_with_an_unknown_key(arguments, tmp_path):
    return _train(arguments, tmp_path, *_config(tmp_path, "model: {dims: 8}"))


def _config_with_a_bad_value(arguments, tmp_path):
    return _train(arguments, tmp_path, *_config(tmp_path, "model: {id_dropout: 2}"))


def _config_with_a_key_twice(arguments, tmp_path):
    return _train(arguments, tmp_path, *_config(tmp_path, "epochs: 1\nseed: 2\nepochs: 5\n"))


def _config_that_is_no_mapping(arguments, tmp_path):
    return _train(arguments, tmp_path, *_config(tmp_path, "just words"))


def _config_with_an_unknown_optimizer(arguments, tmp_path):
    return _train(arguments, tmp_path, *_config(tmp_path, "optimizer: Adamm"))


def _out_that_holds_something_else(arguments, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").touch()
    return _train(arguments, tmp_path)


def _evaluate_what_is_no_run(arguments, tmp_path):
    return ["evaluate", str(tmp_path)]


def _export_what_is_no_run(arguments, tmp_path):
    return ["export", str(tmp_path / "no"), "--to", str(tmp_path / "to")]


def _recommend_from_what_is_no_export(arguments, tmp_path):
    return ["recommend", str(tmp_path / "no"), "--user", "u1"]


def _recommend_for_half_a_character(arguments, tmp_path):
    return ["recommend", str(tmp_path / "no"), "--user", "\udcf0"]


def _quickstart_on_an_empty_folder(arguments, tmp_path):
    return ["quickstart", "--data", str(tmp_path), "--out", str(tmp_path / "out")]


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (_no_out, "--out"),
        (_no_data, "pass --interactions and --items"),
        (_unknown_model, "must be one of two_tower, ranker, ease"),
        (_unknown_split, "alphabetical"),
        (_unknown_option, "--fast"),
        (_unknown_command, "tran"),
        (_seed_of_letters, "--seed"),
        (_negative_epochs, "epochs: Input should be greater than or equal to 0"),
        (_absent_interactions, "no.parquet"),
        (_items_without_ids, "items: missing column 'item_id'"),
        (_vectors_of_other_items, "3"),
        (_two_vectors_of_one_name, "--vectors: two have the name 'text'"),
        (_a_folder_that_is_no_store, "store"),
        (_min_rating_that_nobody_gave, "min_rating=9"),
        (_absent_config, "no.yaml"),
        (_config_with_an_unknown_key, "model.dims: unknown key"),
        (_config_with_a_bad_value, "model.id_dropout: Input should be less than 1. Received: 2"),
        (_config_with_a_key_twice, "the key 'epochs' occurs twice, in lines 1 and 3"),
        (_config_that_is_no_mapping, "must hold a mapping"),
        (_config_with_an_unknown_optimizer, "Adamm"),
        (_out_that_holds_something_else, "is not empty and holds no run"),
        (_evaluate_what_is_no_run, "no config.yaml"),
        (_export_what_is_no_run, "no config.yaml"),
        (_recommend_from_what_is_no_export, "no"),
        (_recommend_for_half_a_character, "half of a character"),
        (_quickstart_on_an_empty_folder, "interactions.parquet"),
    ],
)
def test_one_line_and_code_2(command, names, arguments, tmp_path, capfd):
    assert main(command(arguments, tmp_path)) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert names in lines[0]
    assert not (tmp_path / "run" / "done").exists()


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_movielens_without_the_extra(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["quickstart", "--data", "movielens", "--out", str(tmp_path / "out")]) == 2
    assert 'pip install "tfrec-fusion[text]"' in capfd.readouterr().err


def test_a_run_whose_config_was_broken_by_hand(trained, tmp_path, capfd):
    broken = tmp_path / "run"
    shutil.copytree(trained, broken)
    config = (broken / "config.yaml").read_text()
    (broken / "config.yaml").write_text(config.replace("dim: 8", "dim: eight", 1))
    assert main(["evaluate", str(broken)]) == 2
    assert "model.dim" in capfd.readouterr().err


@pytest.mark.parametrize("more", [["-k", "0"], ["-k", "x"]])
def test_a_bad_k(trained, more, capfd):
    assert main(["recommend", str(trained.parent / "export"), "--user", "u1", *more]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "k" in lines[0]


@pytest.mark.parametrize(
    "command",
    [
        ["quickstart", "--out", "run"],
        ["embed", "--items", "x", "--encoder", "lexical", "--out", "store"],
        ["train", "--interactions", "x", "--items", "x", "--out", "run"],
        ["tune", "--interactions", "x", "--items", "x", "--out", "study"],
        ["evaluate", "x"],
        ["export", "x", "--to", "out"],
        ["recommend", "x", "--user", "u"],
        ["monitor", "x", "--requests", "x"],
        ["labels", "x", "--stable", "1"],
    ],
    ids=lambda command: command[0],
)
def test_json_that_cannot_be_written_is_refused_before_the_work(command, tmp_path, capfd):
    (tmp_path / "file").touch()
    for target, says in (
        (tmp_path / "file" / "more" / "out.json", f"json: {tmp_path / 'file'} is not a folder"),
        (tmp_path, "json: the path exists and is not a file"),
    ):
        assert main([*command, "--json", str(target)]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith(f"error: {says}")


def test_a_bug_keeps_its_traceback(monkeypatch):
    from tfrec_fusion.export import recommender

    def broken(*args):
        raise ZeroDivisionError

    monkeypatch.setattr(recommender.Recommender, "__init__", broken)
    with pytest.raises(ZeroDivisionError):
        main(["recommend", "x", "--user", "u"])


def test_the_json_of_a_mistake_is_none(tmp_path, capfd):
    assert main(["evaluate", str(tmp_path), "--json", "-"]) == 2
    out = capfd.readouterr().out
    with pytest.raises(json.JSONDecodeError):
        json.loads(out)
    assert out == ""
