import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tfrec_fusion.embeddings import (
    CallableEncoder,
    Encoder,
    Truncation,
    VectorStore,
    encode,
    text_hash,
)
from tfrec_fusion.embeddings.journal import Journal
from tfrec_fusion.errors import InputError

TEXTS = [f"text {'x' * (row % 7)} {row}" for row in range(100)]
IDS = [f"i{row}" for row in range(100)]


def vector(text):
    """Four small whole numbers that follow the text; exact in float16."""
    return [float(int(text_hash(text)[place], 16)) for place in range(4)]


class Counting(Encoder):
    """Batches of 8 texts, all of which it remembers."""

    name = "counting"

    def __init__(self, version=1, dims=4):
        self.version, self.dims, self.seen = version, dims, []

    def identity(self):
        return {"version": self.version}

    def stream(self, texts):
        for start in range(0, len(texts), 8):
            rows = np.arange(start, min(start + 8, len(texts)))
            self.seen += [texts[row] for row in rows]
            yield rows, np.array([vector(texts[row])[: self.dims] for row in rows], np.float32)


def run(path, texts=TEXTS, encoder=None, ids=None, **options):
    encoder = encoder or Counting()
    result = encode(texts, encoder, path, ids=ids or IDS, progress=False, **options)
    return result, encoder


def test_each_id_has_the_vector_of_its_text(tmp_path):
    result, encoder = run(tmp_path / "store")
    store = VectorStore.open(tmp_path / "store")
    assert store.ids.tolist() == IDS
    np.testing.assert_array_equal(store.values(), [vector(text) for text in TEXTS])
    assert (result.encoded, result.reused, result.without_text) == (100, 0, 0)
    assert (store.dtype, store.manifest.encoder) == ("float16", "counting")
    assert store.manifest.encoder_id == encoder.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_second_run_encodes_nothing_and_ten_changed_texts_ten(tmp_path):
    path = tmp_path / "store"
    run(path)
    before = (path / "manifest.json").stat().st_ino
    result, encoder = run(path)
    assert (result.encoded, result.reused, encoder.seen) == (0, 100, [])
    assert (path / "manifest.json").stat().st_ino == before
    changed = [f"new {text}" if row % 10 == 3 else text for row, text in enumerate(TEXTS)]
    result, encoder = run(path, changed)
    assert (result.encoded, len(encoder.seen)) == (10, 10)
    np.testing.assert_array_equal(result.store.values(), [vector(text) for text in changed])


def test_equal_texts_are_encoded_once_and_renamed_ids_not_again(tmp_path):
    result, encoder = run(tmp_path / "store", ["a", "b", "a"], ids=["1", "2", "3"])
    assert sorted(encoder.seen) == ["a", "b"]
    assert (result.encoded, result.reused) == (2, 1)
    result, encoder = run(tmp_path / "store", ["b", "a"], ids=["new", "2"])
    assert encoder.seen == []
    # "1" and "3" were not asked about and stay; "2" has another text now.
    assert result.store.ids.tolist() == ["new", "2", "1", "3"]
    expected = [vector(text) for text in "baaa"]
    np.testing.assert_array_equal(result.store.values(), expected)


def test_an_id_without_a_text_has_no_row(tmp_path):
    run(tmp_path / "store", ["a", "b"], ids=["1", "2"])
    result, _ = run(tmp_path / "store", ["a", "  "], ids=["1", "2"])
    assert result.without_text == 1
    assert result.store.align(["1", "2"]).mask.tolist() == [True, False]
    with pytest.raises(InputError, match="none of the 2 rows has a text"):
        run(tmp_path / "store", ["", " "], ids=["1", "2"])


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_stored_type_and_the_steps_stay(tmp_path, dtype):
    path = tmp_path / "store"
    run(path, dtype=dtype)
    first = VectorStore.open(path).add_step(Truncation(2)).values()
    result, encoder = run(path, [*TEXTS, "one more"], ids=[*IDS, "more"])
    assert encoder.seen == ["one more"]
    assert (result.store.dtype, result.store.dims) == (dtype, 2)
    np.testing.assert_array_equal(result.store.values()[:100], first)
    expected = Truncation(2).transform([vector("one more")])
    np.testing.assert_allclose(result.store.values()[100:], expected, atol=0.01)
    with pytest.raises(InputError, match=f"dtype: the store holds {dtype}"):
        run(path, dtype="float16")


def test_two_encoders_never_mix(tmp_path):
    path = tmp_path / "store"
    run(path)
    with pytest.raises(InputError, match=r"made by counting \(.*Received: counting \("):
        run(path, encoder=Counting(version=2))
    VectorStore.write(tmp_path / "other", ["a"], [[1.0, 2, 3, 4]], encoder="by hand")
    with pytest.raises(InputError, match=r"made by by hand \(no fingerprint\)"):
        run(tmp_path / "other")


def test_an_unfinished_run_belongs_to_its_encoder(tmp_path):
    class Failing(Counting):
        def stream(self, texts):
            yield next(super().stream(texts))
            raise RuntimeError("the server is gone")

    path = tmp_path / "store"
    with pytest.raises(RuntimeError):
        run(path, encoder=Failing())
    with pytest.raises(InputError, match=r"unfinished run of counting.*of one encoder only"):
        run(path, encoder=Counting(version=2))
    result, encoder = run(path)
    assert len(encoder.seen) == 92
    assert not set(encoder.seen) & set(TEXTS[:8])
    np.testing.assert_array_equal(result.store.values(), [vector(text) for text in TEXTS])


def test_a_torn_journal_loses_only_what_was_not_whole(tmp_path):
    # A batch of 2 is 2 x 16 bytes of hashes and 2 x 4 x 4 bytes of vectors.
    hashes = [text_hash(text) for text in TEXTS[:4]]
    vectors = np.array([vector(text) for text in TEXTS[:4]], np.float32)
    for cut_hashes, cut_vectors, rows in [
        (0, 0, 4),
        (1, 0, 3),
        (32, 0, 2),
        (33, 32, 1),
        (64, 0, 0),
    ]:
        with Journal(tmp_path / "store", "e", "f") as journal:
            journal.append(hashes[:2], vectors[:2])
            journal.append(hashes[2:], vectors[2:])
        for name, cut in (("hashes.bin", cut_hashes), ("vectors.bin", cut_vectors)):
            file = journal.folder / name
            os.truncate(file, file.stat().st_size - cut)
        with Journal(tmp_path / "store", "e", "f") as journal:
            assert journal.hashes == hashes[:rows]
            assert journal.vectors().tolist() == vectors[:rows].tolist()
            journal.append(["0" * 32], vectors[:1])
            np.testing.assert_array_equal(journal.vectors()[-1], vectors[0])
            journal.discard()


def test_two_processes_do_not_encode_into_one_store(tmp_path):
    pytest.importorskip("fcntl")
    with (
        Journal(tmp_path / "store", "e", "f"),
        pytest.raises(InputError, match="another process is encoding"),
        Journal(tmp_path / "store", "e", "f"),
    ):
        pass


_CHILD = """
import os, signal, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from tests.embeddings.test_encoding import Counting, IDS, TEXTS, vector
from tfrec_fusion.embeddings import encode

class Logging(Counting):
    def stream(self, texts):
        for number, (rows, vectors) in enumerate(super().stream(texts)):
            if number == int(sys.argv[4]):
                os.kill(os.getpid(), signal.SIGKILL)  # in the middle of a batch
            with open(sys.argv[3], "a") as log:
                log.writelines(texts[row] + "\\n" for row in rows)
            yield rows, vectors

encode(TEXTS, Logging(), sys.argv[2], ids=IDS, progress=False)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_three_times_no_text_is_encoded_twice(tmp_path):
    log, path = tmp_path / "log", tmp_path / "store"
    root = str(Path(__file__).parents[2])

    def child(kill_at):
        command = [sys.executable, "-c", _CHILD, root, str(path), str(log), str(kill_at)]
        return subprocess.run(command, cwd=root).returncode

    # 100 texts in batches of 8: killed after 3, 3 + 4 and 3 + 4 + 2 batches.
    for kill_at, done in ((3, 24), (4, 56), (2, 72)):
        assert child(kill_at) == -signal.SIGKILL
        assert len(log.read_text().splitlines()) == done
        assert not path.exists()
    assert child(-1) == 0
    assert sorted(log.read_text().splitlines()) == sorted(TEXTS)
    store = VectorStore.open(path)
    np.testing.assert_array_equal(store.values(), [vector(text) for text in TEXTS])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda texts: np.ones((len(texts) - 1, 2)), "must be one per text"),
        (lambda texts: np.full((len(texts), 2), np.nan), "NaN or infinity"),
        (lambda texts: np.full((len(texts), 2), 1e6), "values beyond 65504"),
        (lambda texts: np.ones(len(texts)), "must be a 2-D array"),
        (lambda texts: np.ones((len(texts), len(texts))), "each of 60 dims"),
    ],
)
def test_wrong_vectors_are_refused(tmp_path, function, message):
    encoder = CallableEncoder(function, name="wrong", batch_texts=60)
    with pytest.raises(InputError, match=message):
        run(tmp_path / "store", encoder=encoder)
    assert not (tmp_path / "store").exists()


def test_other_dims_than_the_stores_are_refused(tmp_path):
    run(tmp_path / "store")
    with pytest.raises(InputError, match="each of 4 dims"):
        run(tmp_path / "store", ["new"], Counting(dims=3), ["new"])


def test_frames_and_their_templates(tmp_path):
    frame = pd.DataFrame({"item_id": ["a", "b"], "title": ["Cup", "Pot"], "description": ["x", ""]})
    encoder = Counting()
    result = encode(frame, encoder, tmp_path / "default", progress=False)
    assert encoder.seen == ["Cup. x", "Pot"]
    assert result.store.manifest.template == "{title}. {description}"
    encoder = Counting()
    encode(frame, encoder, tmp_path / "own", template="a {title}", progress=False)
    assert encoder.seen == ["a Cup", "a Pot"]
    for arguments, message in [
        ((frame.drop(columns="item_id"),), "id_column: .*'item_id'"),
        ((frame[["item_id"]],), "template: the items have neither"),
        ((["a"],), "ids: a list of texts needs ids= with one id per text"),
    ]:
        with pytest.raises(InputError, match=message):
            encode(*arguments, Counting(), tmp_path / "wrong", progress=False)
    for texts, ids in (([1], ["a"]), (["a"], ["a", "b"])):
        with pytest.raises(InputError, match="texts: must be strings, one per id"):
            encode(texts, Counting(), tmp_path / "wrong", ids=ids, progress=False)


def test_what_is_no_store_is_not_replaced(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InputError, match="is not a vector store"):
        run(tmp_path)


def test_progress_is_told_in_lines(tmp_path):
    out = Console(file=io.StringIO(), width=200)

    class Costly(Counting):
        def estimate(self, texts):
            return f"{len(texts)} texts for $1"

    encode(TEXTS, Costly(), tmp_path / "store", ids=IDS, progress=out)
    lines = out.file.getvalue().splitlines()
    assert lines[0] == "100 texts for $1"
    assert lines[-1].startswith("encoded 100 of 100 texts, ")
    assert lines[-1].endswith("texts/s, 0:00:00 left")


def test_none_among_texts_is_no_text_and_half_an_emoji_is_refused(tmp_path):
    result, _ = run(tmp_path / "store", ["a", None, float("nan"), pd.NA, "b"], ids=IDS[:5])
    assert result.without_text == 3
    assert result.store.ids.tolist() == ["i0", "i4"]
    with pytest.raises(InputError, match=r"texts: must be strings.*at row 1 7"):
        run(tmp_path / "other", ["a", 7], ids=IDS[:2])
    with pytest.raises(InputError, match=r"texts: .* at row 1"):
        run(tmp_path / "other", ["a", "b\ud83d"], ids=IDS[:2])
    frame = pd.DataFrame({"item_id": ["a"], "title": pd.Series(["\ud83d"], dtype=object)})
    with pytest.raises(InputError, match=r"'\{title\}' has 1 values .* at row 0"):
        encode(frame, Counting(), tmp_path / "other", progress=False)
