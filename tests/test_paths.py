"""Paths that would end somewhere else than the user thinks: refused before any work, everywhere."""

import os

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.cli import main
from tfrec_fusion.data import Catalogue, Interactions, Vocabulary, fetch_movielens
from tfrec_fusion.deploy import label_versions
from tfrec_fusion.embeddings import LexicalEncoder, VectorStore, Whitening, encode, open_vectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ParquetWindow
from tfrec_fusion.export import Recommender, export_litert, export_onnx
from tfrec_fusion.export.versions import check_base
from tfrec_fusion.files import new_file
from tfrec_fusion.monitoring import compare, read_requests
from tfrec_fusion.paths import local_path
from tfrec_fusion.rerank.rules import Rules
from tfrec_fusion.training import Checkpoints, Run, RunConfig, TensorBoard, write_projector

SHOP = Catalogue(pd.DataFrame({"item_id": ["a"]}))
CONFIG = RunConfig.of({"data": {"interactions": "none", "items": "none"}})


def config_of(key, path):
    values = {"interactions": "none", "items": "none", "vectors": {}}
    values |= {"vectors": {"text": path}} if key == "vectors" else {key: path}
    return RunConfig.of({"data": values})


ENTRIES = {
    "Catalogue.from_parquet": Catalogue.from_parquet,
    "Catalogue.from_csv": Catalogue.from_csv,
    "Catalogue vectors": lambda path: Catalogue(SHOP.frame, {"text": path}),
    "Interactions.from_parquet": lambda path: Interactions.from_parquet(path, SHOP),
    "Interactions.from_csv": lambda path: Interactions.from_csv(path, SHOP),
    "ParquetWindow": ParquetWindow,
    "Vocabulary.load": Vocabulary.load,
    "Vocabulary.save": Vocabulary(["a"]).save,
    "fetch_movielens": fetch_movielens,
    "VectorStore.open": VectorStore.open,
    "VectorStore.write": lambda path: VectorStore.write(path, ["a"], np.ones((1, 2))),
    "VectorStore.from_npy": lambda path: VectorStore.from_npy(path + ".npy", ["a"]),
    "VectorStore.from_parquet": lambda path: VectorStore.from_parquet(path, "vector"),
    "open_vectors": lambda path: open_vectors(path, ["a"]),
    "encode": lambda path: encode(["x"], lambda texts: np.ones((1, 2)), path, ids=["a"]),
    "LexicalEncoder.load": LexicalEncoder.load,
    "Whitening.save": Whitening().fit(np.eye(3)).save,
    "Whitening.load": Whitening.load,
    "reports": lambda path: new_file(path).__enter__(),
    "RunConfig.load": RunConfig.load,
    "Rules.load": Rules.load,
    "Run.open": Run.open,
    "Run.start": lambda path: Run.start(path, CONFIG),
    "Run: interactions": lambda path: Run.start("run", config_of("interactions", path)),
    "Run: vectors": lambda path: Run.start("run", config_of("vectors", path)),
    "Checkpoints": Checkpoints,
    "TensorBoard": TensorBoard,
    "write_projector": lambda path: write_projector(path, {"text": np.eye(1)}, ["a"]),
    "export": check_base,
    "Recommender": Recommender,
    "label_versions": lambda path: label_versions(path, stable=1),
    "export_onnx": lambda path: export_onnx("none", path),
    "export_litert": lambda path: export_litert("none", path),
    "read_requests": read_requests,
    "monitor": lambda path: compare(path, pd.DataFrame()),
}
TENSORFLOW = {
    name: ENTRIES[name]
    for name in (
        "Run.open",
        "Run.start",
        "Checkpoints",
        "TensorBoard",
        "write_projector",
        "export",
        "Recommender",
        "label_versions",
    )
}
COMMANDS = [
    ["train", "--interactions", "PATH", "--items", "x", "--out", "run"],
    ["train", "--interactions", "x", "--items", "PATH", "--out", "run"],
    ["train", "--interactions", "x", "--items", "x", "--vectors", "text=PATH", "--out", "run"],
    ["train", "--interactions", "x", "--items", "x", "--out", "PATH"],
    ["train", "--config", "PATH", "--out", "run"],
    ["embed", "--items", "PATH", "--encoder", "lexical", "--out", "store"],
    ["embed", "--items", "x", "--encoder", "lexical", "--out", "PATH"],
    ["quickstart", "--out", "PATH"],
    ["quickstart", "--data", "PATH", "--out", "run"],
    ["evaluate", "PATH"],
    ["evaluate", "x", "--json", "PATH"],
    ["export", "PATH", "--to", "out"],
    ["export", "x", "--to", "PATH"],
    ["export", "x", "--to", "out", "--onnx", "PATH"],
    ["export", "x", "--to", "out", "--litert", "PATH"],
    ["export", "x", "--to", "out", "--rules", "PATH"],
    ["export", "x", "--to", "out", "--items", "PATH"],
    ["recommend", "PATH", "--user", "u"],
    ["labels", "PATH", "--stable", "1"],
    ["monitor", "PATH", "--requests", "x"],
    ["monitor", "x", "--requests", "PATH"],
    ["monitor", "x", "--requests", "x", "--out", "PATH"],
    ["monitor", "x", "--requests", "x", "--logdir", "PATH"],
    ["serve", "PATH"],
    ["serve", "--model-config-file", "PATH"],
    ["serve", "x", "--feedback-dir", "PATH"],
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("scheme", ["s3", "gs", "hdfs", "file"])
@pytest.mark.parametrize("name", ENTRIES)
def test_a_scheme_is_refused_in_one_line(name, scheme):
    with pytest.raises(InputError) as caught:
        ENTRIES[name](f"{scheme}://bucket/shop")
    message = str(caught.value)
    assert f"{scheme}:// is not supported" in message
    assert "\n" not in message


# Paths within a config and the cache of MovieLens are expanded.
@pytest.mark.parametrize(
    "name", sorted({*ENTRIES} - {"Run: interactions", "Run: vectors", "fetch_movielens"})
)
def test_a_home_folder_that_nobody_would_expand_is_refused(name):
    with pytest.raises(InputError, match=r"~ is not expanded"):
        ENTRIES[name]("~/new/shop")


@pytest.mark.parametrize("character", "*?[]")
@pytest.mark.parametrize("name", TENSORFLOW)
def test_a_pattern_of_tensorflow_is_refused_where_it_reads_or_writes(name, character):
    with pytest.raises(InputError, match=r"TensorFlow treats \*, \?, \[ and \]"):
        TENSORFLOW[name](f"new{character}/shop")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_command_line_refuses_a_scheme(command, capfd):
    assert main([word.replace("PATH", "s3://bucket/shop") for word in command]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "s3:// is not supported" in lines[0]


@pytest.mark.parametrize(
    "command",
    [COMMANDS[3], ["quickstart", "--out", "PATH"], ["serve", "PATH"], COMMANDS[22]],
    ids=" ".join,
)
def test_the_command_line_refuses_a_pattern(command, capfd):
    assert main([word.replace("PATH", "runs[1]") for word in command]) == 2
    assert "TensorFlow treats" in capfd.readouterr().err


def test_a_folder_above_counts_and_so_do_null_characters(tmp_path):
    with pytest.raises(InputError, match="TensorFlow treats"):
        local_path(tmp_path / "a*" / "b", "run", tensorflow=True)
    with pytest.raises(InputError, match="export: a path may not be empty"):
        local_path("", "export")
    with pytest.raises(InputError, match="null character"):
        Catalogue.from_parquet("a\0b")


@pytest.mark.parametrize("path", ["a:b", "C:/data", "http", "a/s3:/b", "x?[1]*"])
def test_other_names_are_names(path):
    assert str(local_path(path, "table")) == path


def test_tables_and_stores_may_have_brackets(tmp_path):
    folder = tmp_path / "new [1]*"
    folder.mkdir()
    VectorStore.write(folder / "store[2]", ["a"], np.ones((1, 2)))
    SHOP.frame.to_parquet(folder / "items?.parquet")
    shop = Catalogue.from_parquet(folder / "items?.parquet", {"text": folder / "store[2]"})
    assert shop.vectors["text"].mask.tolist() == [True]
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    folder.rmdir()
