"""A full disk: exit code 2, one line on standard error, and the same command goes on later."""

import contextlib
import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.cli import main
from tfrec_fusion.embeddings import CallableEncoder, VectorStore, encode


@contextlib.contextmanager
def no_file_beyond(size):
    """Writes of this process beyond so many bytes of a file fail, TensorFlow's too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _fails(command, size, capsys):
    capsys.readouterr()
    with no_file_beyond(size):
        code = main(command)
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.count("\n") == 1
    assert os.strerror(errno.EFBIG) in error
    return error


# 300 bytes hold no config, 5,000 not the weights.
@pytest.mark.parametrize(
    ("size", "left"),
    [
        (300, "no run was started"),
        pytest.param(5000, "the last complete epoch is kept", marks=pytest.mark.slow),
    ],
)
def test_train_goes_on(arguments, small_config, tmp_path, capsys, size, left):
    run = tmp_path / "run"
    command = ["train", *arguments, "--config", str(small_config), "--out", str(run)]
    assert f"error: {run}: " in (error := _fails(command, size, capsys))
    assert left in error
    assert main(command) == 0
    assert (run / "done").is_file()


def test_embed_goes_on_and_encodes_nothing_twice(tmp_path, capsys):
    pytest.importorskip("wordllama", reason="the extra `static` is not installed")
    items, out = tmp_path / "items.csv", tmp_path / "store"
    pd.DataFrame({"item_id": ["1", "2"], "title": ["mug", "lamp"]}).to_csv(items, index=False)
    command = ["embed", "--items", str(items), "--encoder", "wordllama", "--out", str(out)]
    assert f"error: {out}: " in _fails(command, 1000, capsys)
    assert not out.exists()
    assert main(command) == 0

    given = []

    def lengths(texts):
        given.extend(texts)
        return [[float(len(text))] * 16 for text in texts]

    texts = ["a" * n for n in range(1, 13)]
    encoder = CallableEncoder(lengths, name="lengths", batch_texts=4)
    store = tmp_path / "lengths"
    # A batch is 4 x 16 floats, 256 bytes: the second one does not fit.
    with pytest.raises(OSError, match="encoded texts are kept") as caught, no_file_beyond(400):
        encode(texts, encoder, store, ids=texts, progress=False)
    assert caught.value.filename == str(store)
    assert len(given) == 8
    assert encode(texts, encoder, store, ids=texts, progress=False).encoded == 8
    # The longest come first; only the batch that did not fit comes twice.
    assert sorted(map(len, given)) == [1, 2, 3, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 10, 11, 12]
    rows = VectorStore.open(store).values()
    np.testing.assert_array_equal(rows[:, 0], range(1, 13))


@pytest.mark.slow
def test_what_is_written_beside(trained, tmp_path, capsys):
    report = tmp_path / "report.json"
    report.write_text("the old one")
    command = ["recommend", str(trained.parent / "export"), "--user", "u1", "--json", str(report)]
    assert f"error: {report}: " in _fails(command, 100, capsys)
    assert report.read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    target = tmp_path / "export"
    assert f"error: {target}: " in _fails(
        ["export", str(trained), "--to", str(target), "--no-deployment"], 1000, capsys
    )


def test_a_batch_of_recommendations_goes_on(trained, tmp_path, capsys):
    out = tmp_path / "recs.parquet"
    out.write_text("the old one")
    command = ["recommend", str(trained.parent / "export"), "--users", "all", "--out", str(out)]
    # 2,000 bytes hold the plan and not the part.
    error = _fails(command, 2000, capsys)
    assert f"error: {out}: " in error
    assert "finished parts are kept, and the same command goes on after them" in error
    assert out.read_text() == "the old one"
    assert main(command) == 0
    assert pd.read_parquet(out)["user_id"].nunique() == 40
    assert [path.name for path in tmp_path.iterdir()] == ["recs.parquet"]


def test_labels_stay(trained, tmp_path, capsys):
    pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')
    shop = tmp_path / "shop"
    assert main(["export", str(trained), "--to", str(shop)]) == 0
    config = (tmp_path / "models.config").read_text()
    assert "the labels are unchanged" in _fails(["labels", str(shop), "--stable", "1"], 10, capsys)
    assert (tmp_path / "models.config").read_text() == config


def test_a_plot_that_cannot_grow(tmp_path):
    from tfrec_fusion.files import new_file

    path = tmp_path / "plot.png"
    refused = pytest.raises(OSError, match="it was not written")
    with refused, no_file_beyond(10), new_file(path) as file:
        file.write(bytes(100))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_standard_output_that_is_full_or_closed():
    command = [sys.executable, "-m", "tfrec_fusion.cli", "--version"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: cannot write: {os.strerror(errno.ENOSPC)}\n"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == ""
