import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.server.page.item_index import ItemIndex


@pytest.fixture
def index(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "users.txt").write_text("u1\nü 2\n", encoding="utf-8")
    titles = ["Blue mug", "A mug in blue", "Bluebell mug", "Café au lait bowl", "Indigoblue mugs"]
    pd.DataFrame(
        {"item_id": ["p0", "p1", "p2", "p3", "mug"], "title": titles, "events": [1, 9, 5, 7, 2]}
    ).to_parquet(tmp_path / "assets.extra" / "items.parquet")
    return ItemIndex(tmp_path)


def _ids(found):
    return [item["item_id"] for item in found]


def test_the_most_popular_without_a_text(index):
    assert _ids(index.search("", 3)) == ["p1", "p3", "p2"]


def test_titles_that_start_with_the_text_then_words_then_the_rest(index):
    # p2 and p0 start with it, in p1 a word does, and "Indigoblue" holds it.
    assert _ids(index.search("BLUE")) == ["p2", "p0", "p1", "mug"]
    assert _ids(index.search("blue", 2)) == ["p2", "p0"]


def test_all_words_must_be_there(index):
    assert _ids(index.search("mug blue")) == ["p1", "p2", "mug", "p0"]
    assert index.search("mug green") == []


def test_accents_and_the_very_id(index):
    assert index.search("cafe") == [{"item_id": "p3", "title": "Café au lait bowl", "events": 7}]
    assert _ids(index.search("mug"))[0] == "mug"


def test_titles_and_users(index):
    assert index.titles(["p0", "?"]) == ["Blue mug", ""]
    assert index.unknown(["p0", "?"]) == ["?"]
    assert index.users.rows(["ü 2", "u3"]).tolist() == [1, -1]


def test_columns_as_texts(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    pd.DataFrame(
        {
            "brand": ["käse", None],
            "price": np.array([12.1, np.nan], np.float32),
            "in_stock": [True, False],
            "tags": [["a", "b"], []],
            "item_id": ["p0", "p1"],
            "title": ["One", "Two"],
            "events": [1, 2],
        }
    ).to_parquet(tmp_path / "assets.extra" / "items.parquet")
    index = ItemIndex(tmp_path)
    assert index.columns == ["brand", "price", "in_stock", "tags"]
    assert index.shown(["p1", "?", "p0"]) == [
        {"brand": "", "price": "", "in_stock": "no", "tags": ""},
        {},
        {"brand": "käse", "price": "12.1", "in_stock": "yes", "tags": "a, b"},
    ]


def test_a_version_of_another_program(tmp_path):
    index = ItemIndex(tmp_path)
    assert (len(index), index.users) == (0, None)
    assert index.search("a") == []
    assert index.titles(["p0"]) == [""]
    assert index.unknown(["p0"]) == []


def test_an_export_without_counts(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    pd.DataFrame({"item_id": ["b", "a"], "title": ["One", "Two"]}).to_parquet(
        tmp_path / "assets.extra" / "items.parquet"
    )
    found = ItemIndex(tmp_path).search("")
    assert _ids(found) == ["b", "a"]
    assert np.array([item["events"] for item in found]).tolist() == [0, 0]
