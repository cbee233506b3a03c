import shutil

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender
from tfrec_fusion.features import State


@pytest.fixture(scope="module")
def shop(exported):
    return Recommender(exported.parent)


def test_answers_like_the_model(shop, reference):
    vectors, seen = reference.users(["ü 3", "nobody"], [[], ["item4", "item9"]])
    ids, scores = reference.best(vectors[0], seen[0], ["item14"], 6)
    found = shop.recommend("ü 3", exclude=["item14"], k=6)
    assert [item for item, _ in found] == ids
    np.testing.assert_allclose([score for _, score in found], scores, rtol=1e-6, atol=1e-5)
    ids, _ = reference.best(vectors[1], seen[1], (), 10)
    assert [item for item, _ in shop.recommend(history=["item4", "item9"])] == ids


@pytest.mark.parametrize("of", ["two-tower", "EASE"])
def test_a_history_is_as_old_as_its_ages(shop, decayed, events, of):
    shop = shop if of == "two-tower" else Recommender(decayed[1])
    state = State.of(events)
    one = state.aged_histories().take(np.array([0]))
    items, days = events.catalogue.vocabulary.ids[one.items], one.times.tolist()
    user = events.users.ids[0]
    stored = shop.recommend(user, k=30)
    given = shop.recommend(user, items[::-1], history_ages=days[::-1], k=30)
    assert [item for item, _ in given] == [item for item, _ in stored]
    np.testing.assert_allclose([s for _, s in given], [s for _, s in stored], atol=1e-5)
    now = shop.recommend(user, items, k=30)
    assert np.abs(np.subtract(*([s for _, s in found] for found in (now, stored)))).max() > 1e-3
    assert now == shop.recommend(user, items, history_ages=[0] * len(items), k=30)
    assert "history_age" in shop.card["signatures"]["recommend"]["inputs"]
    assert any("as old as history_age says" in sentence for sentence in shop.card["semantics"])
    assert "history_age" not in shop.filters


def test_fewer_come_back_where_fewer_are_left(shop, reference):
    some = list(reference.item_ids[:37])
    found = shop.recommend("nobody", exclude=some, k=10**6)
    assert {item for item, _ in found} == set(reference.item_ids[37:])


def test_titles_and_card(shop, events):
    assert shop.titles["item4"] == "Thing № 4"
    assert len(shop.titles) == len(events.catalogue)
    assert shop.recommend(shop.card["example_users"][0], k=3)


def test_unknown_ids_are_named(shop, caplog):
    asked = "ü 3", ["item4", "x"], ["item9 ", "item9", ""], ["käse 0", "y"]
    expected = {"history": ["x"], "exclude": ["item9 "], "include": ["y"]}
    assert shop.unknown(*asked) == expected
    shop.recommend(*asked[:3], include=asked[3])
    assert "'exclude': ['item9 ']" in caplog.text
    caplog.clear()
    shop.recommend("ü 3", exclude=["item9"])
    shop.recommend()
    assert not caplog.text
    assert shop.unknown("nobody") == {"user_id": ["nobody"]}


def test_the_highest_version_is_taken(tmp_path, exported):
    for number in (2, 10):
        shutil.copytree(exported, tmp_path / str(number))
    assert Recommender(tmp_path).path == tmp_path / "10"
    assert Recommender(tmp_path / "2").path == tmp_path / "2"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "k must be a whole number of at least 1. Received: 0"),
        ({"k": -2}, "k must be a whole number"),
        ({"k": 2.5}, "k must be a whole number"),
        ({"k": True}, "k must be a whole number"),
        ({"k": "5"}, "k must be a whole number.*'5'"),
        ({"user_id": 7}, "user_id must hold strings. Received: 7"),
        ({"history": "item4"}, "history must be a list of ids. Received: the text 'item4'"),
        ({"user_id": "\ud83d"}, "user_id has 1 values with half of a character"),
        # What Python makes of a command line with the byte 0xff in it.
        ({"include": ["käse 0", "\udcff"]}, "include has 1 values with half of a character"),
        ({"user_id": "\udcff"}, "user_id has 1 values with half of a character"),
        ({"history": ["a", "b\ude00"]}, "history has 1 values .* at row 1"),
        ({"exclude": [None]}, "exclude must hold strings. Received: None"),
        ({"history": ["item4"], "history_ages": 3}, "each of the 1 items .* Received: 3"),
        ({"history_ages": [3]}, r"each of the 0 items of the history\. Received: \[3\]"),
        ({"history": ["item4"], "history_ages": [-1]}, "1 of 1 are not.* Received: -1"),
        ({"history": ["item4"], "history_ages": [1.7e12]}, "from 0 to 36,525; 1 of 1 are not"),
    ],
)
def test_bad_requests_are_named(shop, options, says):
    with pytest.raises(InputError, match=says) as caught:
        shop.recommend(**options)
    assert "\n" not in str(caught.value)


def test_no_folder_no_version_no_model(tmp_path, exported):
    with pytest.raises(InputError, match="no such folder"):
        Recommender(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no version folder"):
        Recommender(tmp_path)
    (tmp_path / "1").mkdir()
    with pytest.raises(InputError, match="1 is not a SavedModel"):
        Recommender(tmp_path)
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(InputError, match="does not load as a SavedModel") as caught:
        Recommender(tmp_path)
    assert "\n" not in str(caught.value)
    shutil.copytree(exported, tmp_path / "2")
    shutil.rmtree(tmp_path / "2" / "assets.extra")
    (tmp_path / "2" / "model_card.json").write_text("{")
    broken = Recommender(tmp_path)
    for name in ("titles", "card"):
        with pytest.raises(InputError, match=r"is not (readable|JSON)"):
            getattr(broken, name)


def test_a_ranker_is_told_by_its_name(ranker):
    _, _, folder = ranker("id only")
    with pytest.raises(InputError, match=r"ranker scores .* recommend from its run, .*Received: "):
        Recommender(folder)


def test_another_kind_of_saved_model(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"))
    with pytest.raises(InputError, match="no signature 'recommend'"):
        Recommender(tmp_path)
