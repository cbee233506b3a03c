import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfrec_fusion.embeddings import VectorStore, text_hash
from tfrec_fusion.embeddings.manifest import Manifest
from tfrec_fusion.errors import InputError

IDS = ["mug", "tëa pot", "7"]
VECTORS = np.array([[1.0, -0.5, 0.25], [0.0, 0.0, 0.0], [3.0, 2.0, -127.0]])


@pytest.fixture
def folder(tmp_path):
    VectorStore.write(tmp_path / "store", IDS, VECTORS, encoder="minilm", pooling="mean")
    return tmp_path / "store"


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
def test_what_was_written_is_read(tmp_path, dtype):
    hashes = [text_hash(text) for text in IDS]
    written = VectorStore.write(
        tmp_path / "store",
        IDS,
        VECTORS,
        dtype=dtype,
        text_hashes=hashes,
        encoder="minilm",
        revision="1",
        pooling="mean",
        template="{title}",
    )
    store = VectorStore.open(str(tmp_path / "store"))
    assert store.ids.tolist() == IDS
    assert (len(store), store.dims, store.dtype) == (3, 3, dtype)
    assert store.text_hashes == hashes
    assert store.fingerprint == written.fingerprint == store.manifest.fingerprint
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert {k: manifest[k] for k in ("encoder", "revision", "pooling", "template")} == {
        "encoder": "minilm",
        "revision": "1",
        "pooling": "mean",
        "template": "{title}",
    }
    assert (manifest["rows"], manifest["dims"], manifest["dtype"]) == (3, 3, dtype)
    # All values are exact in float16. In int8 the last row's scale is 127/127 = 1: exact too; the
    # first row's is 1/127, so -0.5 is stored as -63.5 rounded to even, -64, and 0.25 as 32.
    expected = VECTORS.copy()
    if dtype == "int8":
        expected[0] = [1.0, -64 / 127, 32 / 127]
    np.testing.assert_allclose(store.values(), expected, rtol=1e-6)
    assert store.values().dtype == np.float32
    assert store.values(dtype="float16").dtype == np.float16


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        # What float16 cannot tell from 0 is refused.
        elements=st.floats(-1000, 1000, width=32).map(lambda v: v if abs(v) >= 2**-14 else 0.0),
    )
)
def test_error_of_each_dtype_is_bounded(tmp_path_factory, vectors):
    # float16 keeps 11 bits: error at most 2^-11 of the value (2^-25 near 0). int8: half of
    # largest/127 of its row, that is 1/254 of the row's largest magnitude.
    path = tmp_path_factory.mktemp("stores") / "store"
    ids = [str(row) for row in range(len(vectors))]
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    bounds = {
        "float32": np.zeros_like(vectors),
        "float16": np.abs(vectors) * 2.0**-11 + 2.0**-25,
        "int8": np.broadcast_to(largest * (1.0001 / 254) + 1e-37, vectors.shape),
    }
    for dtype, bound in bounds.items():
        error = np.abs(VectorStore.write(path, ids, vectors, dtype=dtype).values() - vectors)
        assert (error <= bound).all()


def test_rows_select_and_minus_one_is_zero(folder):
    store = VectorStore.open(folder)
    np.testing.assert_array_equal(
        store.values([2, -1, 0]), [[3, 2, -127], [0, 0, 0], [1, -0.5, 0.25]]
    )
    for rows in ([3], [-2], [[0]]):
        with pytest.raises(InputError, match="rows: must be 1-D positions from -1"):
            store.values(rows)


def test_vectors_are_memory_mapped(folder):
    assert isinstance(VectorStore.open(folder)._content.vectors, np.memmap)


def test_align_masks_items_without_a_vector(folder):
    aligned = VectorStore.open(folder).align(["7", "unseen", "mug"])
    np.testing.assert_array_equal(aligned.values, [[3, 2, -127], [0, 0, 0], [1, -0.5, 0.25]])
    assert aligned.mask.tolist() == [True, False, True]
    assert aligned.mask.dtype == bool
    assert aligned.coverage == pytest.approx(2 / 3)


@settings(deadline=None)
@given(st.data())
def test_align_gives_each_id_its_own_vector(data):
    names = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1)
    known = data.draw(st.lists(names, min_size=1, unique=True))
    wanted = data.draw(st.permutations(known)) + data.draw(
        st.lists(names.filter(lambda name: name not in known), unique=True)
    )
    vectors = np.arange(1, 2 * len(known) + 1, dtype=np.float32).reshape(-1, 2)
    aligned = VectorStore(known, vectors).align(wanted)
    place = {name: row for row, name in enumerate(known)}
    for name, value, there in zip(wanted, aligned.values, aligned.mask, strict=True):
        assert there == (name in place)
        np.testing.assert_array_equal(value, vectors[place[name]] if there else [0, 0])


def test_integer_ids_are_spelled_out(tmp_path):
    store = VectorStore.write(tmp_path / "s", np.array([10, 9]), np.eye(2))
    assert store.ids.tolist() == ["10", "9"]
    assert store.align([9]).values.tolist() == [[0.0, 1.0]]


def test_replacing_a_store(folder):
    VectorStore.write(folder, ["x"], np.ones((1, 2)), dtype="int8")
    assert VectorStore.open(folder).ids.tolist() == ["x"]
    assert sorted(os.listdir(folder)) == ["ids.txt", "manifest.json", "scale.npy", "vectors.npy"]
    assert os.listdir(folder.parent) == ["store"]


def test_fingerprint_follows_content_and_origin_but_not_place(tmp_path):
    def fingerprint(path, vectors=VECTORS, **origin):
        return VectorStore.write(tmp_path / path, IDS, vectors, dtype="float32", **origin)

    first = fingerprint("a").fingerprint
    assert fingerprint("b").fingerprint == first
    assert VectorStore(IDS, VECTORS).fingerprint == first
    assert fingerprint("c", VECTORS + 1).fingerprint != first
    assert fingerprint("d", encoder="minilm").fingerprint != first


def test_a_field_of_a_later_version_is_kept_and_signed(folder):
    manifest = VectorStore.open(folder).manifest
    fields = manifest.model_dump(exclude={"created", "fingerprint"})
    later = Manifest.build(manifest.created, links=["whitening"], **fields)
    assert later.fingerprint != manifest.fingerprint
    (folder / "manifest.json").write_text(later.model_dump_json())
    assert VectorStore.open(folder).manifest == later


def test_from_npy(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS.astype(np.float16))
    store = VectorStore.from_npy(tmp_path / "v.npy", IDS)
    assert store.path is None
    assert store.manifest is None
    np.testing.assert_array_equal(store.values(), VECTORS)


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed"])
@pytest.mark.parametrize("parts", [1, 2])
def test_from_parquet(tmp_path, kind, parts):
    value = pa.float32()
    column = {
        "list": pa.list_(value),
        "large_list": pa.large_list(value),
        "fixed": pa.list_(value, 3),
    }[kind]
    table = pa.table({"item_id": IDS, "emb": pa.array(VECTORS.tolist(), column)})
    if parts == 1:
        path = tmp_path / "v.parquet"
        pq.write_table(table, path)
    else:
        path = tmp_path / "folder"
        path.mkdir()
        pq.write_table(table[:2], path / "0.parquet")
        pq.write_table(table[2:], path / "1.parquet")
    store = VectorStore.from_parquet(path, "emb")
    assert store.ids.tolist() == IDS
    np.testing.assert_array_equal(store.values(), VECTORS)


BAD = np.array([[np.nan, 1], [1, 1], [np.inf, 0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "b", "a"], np.ones((3, 2))), "ids: 1 ids occur more than once, first 'a'"),
        ((["a", None, "c"], np.ones((3, 2))), "ids: 1 null ids, first at rows 1"),
        ((["a", "", "c"], np.ones((3, 2))), "ids: 1 ids are empty .* at rows 1"),
        ((["a", "b\nc", "c"], np.ones((3, 2))), "contain a line break, first at rows 1"),
        ((["a", 1, "c"], np.ones((3, 2))), "must all be strings or all integers"),
        (([0.5, 1.5, 2.5], np.ones((3, 2))), "must be strings or integers.*Received: double"),
        ((["a", "b", "c"], BAD), "NaN or infinity in 2 of 3 vectors, first 'a', 'c'"),
        ((["a", "b"], np.ones(2)), r"2-D array of numbers.*Received: shape \(2,\)"),
        ((["a", "b"], np.ones((2, 1, 1))), r"2-D array.*shape \(2, 1, 1\)"),
        ((["a", "b"], [[1, 2], [3]]), "same length.*ragged"),
        ((["a", "b"], [["x"], ["y"]]), "2-D array of numbers.*dtype <U1"),
        ((["a", "b"], np.ones((3, 2))), "Received: 3 rows and 2 ids"),
        (([], np.ones((0, 2))), "there are no vectors"),
        ((["a"], np.ones((1, 0))), "there are no vectors"),
        (
            (["a", "b"], [[1e-9, 0], [1, 1e-9]]),
            "too small for float16.* in 1 of 2 .*'a'; scale all",
        ),
        ((["a"], [[1e-7, 1e-7]]), "too small for float16"),
        ((["a"], [[1e-50, 1e-50]], "float32"), "too small for float32"),
        ((["a"], [[1e-44, 1e-44]], "int8"), "too small for int8"),
        ((["a"], [[1e39, 1]], "float32"), "values beyond 3.40282e.38, the largest float32"),
        ((["a"], np.ma.masked_equal([[1, 2]], 2)), "1 rows have masked values"),
        ((["a"], np.ones((1, 1), complex)), "2-D array of numbers.*complex128"),
        ((["a"], np.array([["2024-01-01"]], "datetime64[D]")), "2-D array of numbers.*datetime64"),
        ((["a"], pd.DataFrame({"text": ["x"]})), "column 'text' does not hold numbers"),
        ((["a", "b"], pd.DataFrame([[1], [2]], index=["b", "a"])), "another order, than the ids"),
        ((["a", "b"], pd.DataFrame([[1], [2]], index=[1, 0])), "index is neither 0, 1, ... nor"),
        (([b"a"], np.ones((1, 1))), r"must be strings, not bytes; decode them"),
        ((["a", "\ud83d"], np.ones((2, 1))), "ids has 1 values .* at row 1"),
        ((["a"], np.array([[1e5]])), "values beyond 65504, the largest float16, in 1 of 1"),
        ((["a"], np.ones((1, 1)), "float8"), "dtype: must be one of .* Received: 'float8'"),
        ((["a"], np.ones((1, 1)), "float64"), "dtype: must be one of .* Received: 'float64'"),
        ((["a"], np.ones((1, 1)), "int8", []), "text_hashes: must have one hash per id"),
        ((["a"], np.ones((1, 1)), "int8", ["red"]), "text_hashes: .*hex digits.*'red'"),
        ((["a"], np.ones((1, 1)), "int8", [None]), "text_hashes: .*hex digits.*None"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        VectorStore.write(tmp_path / "store", *arguments)
    assert "\n" not in str(caught.value)
    assert not os.listdir(tmp_path)


def test_nothing_in_common_is_an_error(folder):
    with pytest.raises(InputError, match=r"none of the 2 ids has a vector.*'a', 'b'.*'mug'"):
        VectorStore.open(folder).align(["a", "b"])


def test_foreign_folders_and_files_are_not_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").touch()
    for path in (tmp_path / "photos", tmp_path / "photos" / "1.jpg"):
        with pytest.raises(InputError, match="exists and is not a vector store"):
            VectorStore.write(path, IDS, VECTORS)
    assert (tmp_path / "photos" / "1.jpg").exists()


def _edit(key, value):
    def edit(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest[key] = value
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return edit


def _text(name, text):
    return lambda folder: (folder / name).write_text(text)


def _flip_byte(folder):
    content = bytearray((folder / "vectors.npy").read_bytes())
    content[-1] ^= 1
    (folder / "vectors.npy").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_edit("rows", 4), "shape of the vectors does not match"),
        (_edit("dims", 2), "shape of the vectors does not match"),
        (_edit("dtype", "float32"), "dtype of the vectors does not match"),
        (_edit("dtype", "int4"), "'dtype': must be one of .*'int4'"),
        (_edit("rows", "many"), "key 'rows'"),
        (_edit("encoder", "other"), "fingerprint does not match"),
        (_edit("format", 2), "written by a newer version; upgrade"),
        (_edit("files", {}), "'ids.txt' is missing from the manifest"),
        (_text("manifest.json", "{"), "manifest.json is not JSON"),
        (_text("manifest.json", "[]"), "key 'manifest'"),
        (_text("ids.txt", "a\nb\n"), "number of ids does not match.*Received: 2, manifest: 3"),
        (_text("ids.txt", "a\nb\nc\n"), "checksum of ids.txt does not match"),
        (_text("vectors.npy", "no"), "not a readable .npy file"),
        (_flip_byte, "checksum of vectors.npy does not match"),
        (lambda folder: (folder / "ids.txt").unlink(), "'ids.txt' is missing from the folder"),
        (lambda folder: (folder / "vectors.npy").unlink(), "'vectors.npy' is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "not a vector store.*without man"),
    ],
)
def test_a_store_that_disagrees_with_itself_is_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        VectorStore.open(folder)
    assert "\n" not in str(caught.value)


def test_paths_that_are_no_store(tmp_path):
    (tmp_path / "file").touch()
    for name, found in (("file", "a file"), ("absent", "nothing there"), (".", "a folder")):
        with pytest.raises(InputError, match=f"is not a vector store.*Received: {found}"):
            VectorStore.open(tmp_path / name)


def _parquet(tmp_path, **columns):
    pq.write_table(pa.table(columns), tmp_path / "v.parquet")
    return tmp_path / "v.parquet"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": ["a"]}, r"no column 'emb'.*Received: \['item_id'\]"),
        ({"emb": [[1.0]]}, "no column 'item_id'"),
        ({"item_id": ["a"], "emb": [1.0]}, "must hold lists of numbers. Received: double"),
        ({"item_id": ["a"], "emb": [["x"]]}, "2-D array of numbers"),
        ({"item_id": ["a", "b"], "emb": [[1.0], None]}, "1 rows have no vector; drop them"),
        ({"item_id": ["a", "b", "c"], "emb": [[1.0], [1.0], []]}, "1 rows differ.* at row 2"),
        ({"item_id": ["a"], "emb": [[1.0, None]]}, "NaN or infinity in 1 of 1"),
        ({"item_id": ["a", None], "emb": [[1.0], [2.0]]}, "column 'item_id': 1 null ids"),
    ],
)
def test_bad_parquet(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        VectorStore.from_parquet(_parquet(tmp_path, **columns), "emb")


def test_parquet_that_is_none(tmp_path):
    (tmp_path / "x.parquet").write_text("hello")
    with pytest.raises(InputError, match="not a Parquet file"):
        VectorStore.from_parquet(tmp_path / "x.parquet", "emb")
    with pytest.raises(InputError, match="no such file"):
        VectorStore.from_parquet(tmp_path / "y.parquet", "emb")


def test_a_file_that_is_written_to_while_it_is_mapped_is_told(tmp_path):
    path = tmp_path / "v.npy"
    vectors = VECTORS.astype(np.float32)
    np.save(path, vectors)
    store = VectorStore.from_npy(path, IDS)
    np.testing.assert_array_equal(store.values([2]), [[3, 2, -127]])
    np.save(path, vectors[:1])  # the same file, shorter
    with pytest.raises(InputError, match=r"written to since it was opened.*v\.npy"):
        store.values([2])
    np.save(path, vectors)
    store = VectorStore.from_npy(path, IDS)
    np.save(tmp_path / "new.npy", vectors + 1)
    os.replace(tmp_path / "new.npy", path)  # another file, while the map is of the old one
    np.testing.assert_array_equal(store.values([2]), [[3, 2, -127]])


def test_a_vector_of_zeros_is_none(caplog):
    store = VectorStore(IDS, VECTORS)
    aligned = store.align(IDS)
    assert aligned.mask.tolist() == [True, False, True]
    assert caplog.messages == [
        "vectors: 1 of 3 ids have an all-zero vector, which counts as missing"
    ]
    with pytest.raises(InputError, match="all 1 vectors of the ids are all-zero"):
        store.align(["tëa pot"])


def test_a_smaller_type_at_alignment_is_checked_too():
    with pytest.raises(InputError, match=r"beyond 65504, the largest float16.*'a'"):
        VectorStore(["a"], np.array([[1e6]])).align(["a"], "float16")
    with pytest.raises(InputError, match=r"too small for float16.*'a'"):
        VectorStore(["a"], np.array([[1e-9]])).align(["a"], "float16")
