import datetime

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue
from tfrec_fusion.errors import InputError


def test_rows_are_the_frames_rows():
    frame = pd.DataFrame({"item_id": ["b", "a"], "price": [1.5, None]}, index=[7, 3])
    catalogue = Catalogue(frame)
    assert len(catalogue) == 2
    assert catalogue.frame.index.tolist() == [0, 1]
    assert catalogue.vocabulary.rows(["a", "b", "c"]).tolist() == [1, 0, -1]
    np.testing.assert_array_equal(catalogue.numeric("price"), np.float32([1.5, np.nan]))


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        ({"title": ["x", None], "name": ["n", "m"]}, ["x", ""]),
        ({"name": ["n", "m"], "text": ["s", "t"]}, ["n", "m"]),
        ({"text": ["s", "t"]}, ["s", "t"]),
        ({}, ["a", "b"]),
    ],
)
def test_titles_fall_back(columns, titles):
    assert Catalogue(pd.DataFrame({"item_id": ["a", "b"]} | columns)).titles.tolist() == titles


def test_texts_names_a_column_that_is_absent():
    with pytest.raises(InputError, match="'blurb'"):
        Catalogue(pd.DataFrame({"item_id": ["a"]})).texts("blurb")


def test_csv_ids_and_titles_stay_text(tmp_path):
    (tmp_path / "items.csv").write_text("item_id,title,price\n007,1984,2.5\nNA,,NaN\n")
    catalogue = Catalogue.from_csv(tmp_path / "items.csv")
    assert catalogue.vocabulary.ids.tolist() == ["007", "NA"]
    assert catalogue.titles.tolist() == ["1984", ""]
    np.testing.assert_array_equal(catalogue.numeric("price"), np.float32([2.5, np.nan]))


def test_a_folder_is_read_in_the_order_of_its_files(tmp_path):
    for name, ids in {"part-1": ["c"], "part-0": ["a", "b"]}.items():
        pd.DataFrame({"item_id": ids}).to_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "README.md").write_text("not a table")
    assert Catalogue.from_parquet(tmp_path).vocabulary.ids.tolist() == ["a", "b", "c"]


def test_categorical_ids_are_strings():
    frame = pd.DataFrame({"item_id": pd.Categorical(["b", "a"])})
    assert Catalogue(frame).vocabulary.ids.tolist() == ["b", "a"]


def test_vectors_follow_the_rows():
    frame = pd.DataFrame({"item_id": ["a", "b"]})
    vectors = Catalogue(frame, {"text": np.eye(2, 3, dtype=np.float32)}).vectors["text"]
    assert vectors.values.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert vectors.mask.tolist() == [True, True]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_separated_texts_are_lists_where_it_is_said(tmp_path, suffix):
    frame = pd.DataFrame({"movieId": ["7", "8", "9"], "genres": ["Action|Drama ", None, "|Drama"]})
    path = tmp_path / f"items.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    shop = Catalogue.from_file(path, columns={"item_id": "movieId"}, lists={"genres": "|"})
    assert shop.vocabulary.ids.tolist() == ["7", "8", "9"]
    assert shop.frame["genres"].tolist() == [["Action", "Drama"], [], ["Drama"]]
    # What holds lists already is taken as it is.
    again = Catalogue(shop.frame, lists={"genres": "|"})
    assert [list(texts) for texts in again.frame["genres"]] == shop.frame["genres"].tolist()


def test_dates_far_away_are_kept(tmp_path):
    days = [datetime.date(9999, 12, 31), datetime.date(1, 1, 1)]
    frame = pd.DataFrame({"item_id": ["a", "b"], "day": days})
    frame["moment"] = frame["day"].astype("datetime64[us]")
    frame.to_parquet(tmp_path / "items.parquet")
    read = Catalogue.from_parquet(tmp_path / "items.parquet").frame
    assert read["day"].tolist() == days
    assert [moment.date() for moment in read["moment"].dt.to_pydatetime()] == days


def _numbers(**columns):
    return Catalogue(pd.DataFrame({"item_id": [f"i{i}" for i in range(40)]} | columns))


def test_columns_that_look_like_ids_are_no_numbers():
    whole = np.arange(40)
    gaps = np.where(whole == 3, np.nan, whole * 7.0)
    catalogue = _numbers(
        tmdbId=[5] * 40,
        s3_id=[5] * 40,
        ID=[5] * 40,
        index=whole,
        code=gaps,
        price=whole + 0.5,
        exact=whole * 1.0,
        paid=[1, 2] * 20,
        has_id=[True, False] * 20,
        year=[*whole[:39], 0],
    )
    assert catalogue.numeric_columns == ["exact", "has_id", "paid", "price", "year"]
    assert catalogue.id_columns == ["tmdbId", "s3_id", "ID", "index", "code"]


def test_a_few_different_whole_numbers_may_be_prices():
    frame = pd.DataFrame({"item_id": list("abc"), "price": [1, 2, 3]})
    assert Catalogue(frame).numeric_columns == ["price"]


def test_numbers_can_be_chosen():
    frame = pd.DataFrame({"item_id": list("ab"), "movie_id": [1, 2], "year": [3, 4], "kind": "x"})
    assert Catalogue(frame, numbers=["year", "movie_id"]).numeric_columns == ["movie_id", "year"]
    assert Catalogue(frame, numbers=[]).numeric_columns == []
    for wrong in (["kind"], ["prices"], "year"):
        with pytest.raises(InputError, match=r"kind|prices|year"):
            Catalogue(frame, numbers=wrong)
