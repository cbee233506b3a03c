import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrec_fusion.data import Vocabulary
from tfrec_fusion.errors import InputError

ids = st.text(
    st.characters(blacklist_characters="\n\r", blacklist_categories=("Cs",)), min_size=1, max_size=5
)
id_lists = st.lists(ids, unique=True, max_size=20)


def test_rows_keep_shape_and_mark_the_unknown():
    rows = Vocabulary(["b", "a"]).rows([["a", "b"], ["c", ""]])
    assert rows.dtype == np.int32
    assert rows.tolist() == [[1, 0], [-1, -1]]


def test_an_id_that_is_not_text_is_found_anywhere():
    with pytest.raises(InputError, match="strings"):
        Vocabulary([str(i) for i in range(2000)] + [7])


@given(id_lists, id_lists)
def test_growth_keeps_old_rows_and_appends_new_ids_in_order(old, more):
    before = Vocabulary(old)
    after = before.grow(more)
    assert after.ids.tolist() == old + [i for i in more if i not in old]
    assert after.rows(before.ids).tolist() == list(range(len(old)))


@given(id_lists)
def test_rows_and_ids_are_inverse(values):
    vocabulary = Vocabulary(values)
    assert vocabulary.ids[vocabulary.rows(values)].tolist() == values


@given(id_lists)
def test_saved_is_loaded(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("vocabulary") / "ids.txt"
    vocabulary = Vocabulary(values)
    vocabulary.save(path)
    assert path.read_text("utf-8") == "".join(f"{value}\n" for value in values)
    loaded = Vocabulary.load(path)
    assert loaded.ids.tolist() == values
    assert loaded == vocabulary
    assert [p.name for p in path.parent.iterdir()] == ["ids.txt"]


def test_a_file_without_a_last_line_break_keeps_its_last_id(tmp_path):
    (tmp_path / "v.txt").write_text("a\nb")
    assert Vocabulary.load(tmp_path / "v.txt").ids.tolist() == ["a", "b"]


def test_order_is_part_of_the_fingerprint():
    assert Vocabulary(["a", "b"]) != Vocabulary(["b", "a"])
