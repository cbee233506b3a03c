"""The signatures `similar` and `audience`: items like an item, and users for it."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.models import Ranker
from tfrec_fusion.models.classic import EASE, ItemKNN, Popularity, TextMean

LOWEST = np.finfo(np.float32).min
OPTIONS = {"deployment": False}
# Five items; the last has no vector (0 is missing), and d and e were never taken.
VECTORS = np.array([[3, 1], [1, 1], [1, 3], [3, 3], [0, 0]], np.float32)


def _events():
    catalogue = Catalogue(pd.DataFrame({"item_id": [*"abcde"]}), {"text": VECTORS})
    frame = pd.DataFrame({"user_id": [*"uuvvw"], "item_id": [*"abacc"]})
    return Interactions.from_frame(frame, catalogue)


@pytest.fixture(scope="module")
def small():
    return _events()


def _ask(shop, signature, **inputs):
    found = shop._loaded.signatures[signature](**{n: tf.constant(v) for n, v in inputs.items()})
    return {name: value.numpy() for name, value in found.items()}


def test_golden_requests(exported, golden, reference):
    signatures = tf.saved_model.load(str(exported)).signatures
    asked = set()
    for signature, inputs in golden.two_tower_requests(reference):
        if signature in ("similar", "audience"):
            outputs = signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
            outputs = {name: value.numpy() for name, value in outputs.items()}
            golden.check_two_tower(reference, signature, inputs, outputs)
            asked.add(signature)
    assert asked == {"similar", "audience"}


def test_without_a_server(exported, reference, events, caplog):
    shop = Recommender(exported)
    expected = reference.similar("item4")
    found = shop.similar("item4", k=5)
    assert [item for item, _ in found] == sorted(expected, key=expected.get, reverse=True)[:5]
    assert len(shop.similar("item4", k=10**6)) == len(reference.item_ids) - 1
    users = dict(shop.audience("item4", k=10**6))
    expected = reference.audience("item4")
    assert set(users) == set(expected) and 0 < len(users) < len(events.users)
    score = shop._loaded.signatures["score"]
    ids = tf.constant([*users])
    own = score(user_id=ids, item_id=tf.fill([len(users), 1], "item4"))["score"][:, 0]
    np.testing.assert_allclose([*users.values()], own, rtol=1e-5, atol=1e-5)
    assert not caplog.text
    assert shop.similar("no such item") == shop.audience("no such item") == []
    assert caplog.text.count("the export has no item 'no such item'") == 2
    for bad, says in (
        ({"k": 0}, "k must be a whole number"),
        ({"item_id": 7}, "item_id must hold"),
    ):
        with pytest.raises(InputError, match=says):
            shop.similar(**{"item_id": "item4", **bad})
    with pytest.raises(InputError, match="the export has no filter 'colour'"):
        shop.similar("item4", filters={"colour": "red"})


def test_the_longest_k_of_the_request_and_rows_of_their_own(exported):
    shop = Recommender(exported)
    items = ["item4", "gone", "item9"]
    for name, column in (("similar", "similar_id"), ("audience", "user_id")):
        together = _ask(shop, name, item_id=items, k=np.int32([2, 0, 4]))
        assert together[column].shape == together["score"].shape == (3, 4)
        assert together[column][1].tolist() == [b""] * 4
        assert together["score"][1].tolist() == [LOWEST] * 4
        for row, item in enumerate(items):
            alone = _ask(shop, name, item_id=[item], k=np.int32([4]))
            assert alone[column][0].tolist() == together[column][row].tolist()
        assert _ask(shop, name, item_id=["gone"], k=np.int32([3]))[column].tolist() == [[b""] * 3]
        assert _ask(shop, name, item_id=items[:0] or tf.zeros([0], tf.string), k=np.int32([]))[
            column
        ].shape == (0, 0)


@pytest.mark.slow
def test_filters_hold_and_blocked_items_stay_out(ruled):
    folder, reference = ruled
    shop = Recommender(folder)
    frame = reference.frame.set_index("item_id")
    vectors = reference.reference.items[:, : reference.reference.model.config.dim]
    there = {i for i, vector in zip(reference.ids, vectors, strict=True) if vector.any()}
    blocked = {i for row, i in enumerate(reference.ids) if reference.blocked(row)}
    everything = {item for item, _ in shop.similar("item 0", k=10**6)}
    assert blocked & there and everything == there - blocked - {"item 0"}
    found = {item for item, _ in shop.similar("item 0", k=10**6, filters={"price_max": 20})}
    cheap = set(frame.index[frame["price"].astype(np.float32) <= 20])
    assert 0 < len(found) < len(everything) and found == everything & cheap


def test_text_vectors_are_centred(small, tmp_path):
    model = ItemKNN(k=2).fit(small)
    shop = Recommender(export(model, small, tmp_path / "shop", similar="text", **OPTIONS))
    # The mean of the four vectors is (2, 2), so a is (1, -1), b (-1, -1), c (-1, 1), d (1, 1).
    found = shop.similar("a", k=9)
    assert [item for item, _ in found] == ["b", "d", "c"]
    np.testing.assert_allclose([score for _, score in found], [0, 0, -1], atol=1e-6)
    # What has no vector is like nothing, and nothing is like it.
    assert shop.similar("e") == []


@pytest.mark.slow
def test_the_next_version_compares_by_the_same_unless_told_otherwise(small, tmp_path):
    model = ItemKNN(k=2).fit(small)
    shop = Recommender(export(model, small, tmp_path / "shop", similar="text", **OPTIONS))
    again = Recommender(export(model, small, tmp_path / "shop", **OPTIONS))
    assert again.card["kept"] == ["similar"] and again.card["similar"] == "text"
    assert again.similar("a", k=9) == shop.similar("a", k=9)
    none = Recommender(export(model, small, tmp_path / "shop", similar="none", **OPTIONS))
    with pytest.raises(InputError, match=r"no signature 'similar'; export with similar='auto'"):
        none.similar("a")


def test_co_consumption_and_cold_items_by_text(small, tmp_path):
    knn = ItemKNN(k=2).fit(small)
    shop = Recommender(export(knn, small, tmp_path / "knn", **OPTIONS))
    # a was taken by u and v, b by u, c by v and w: cosines 1 / sqrt(2) and 1 / 2.
    found = shop.similar("a", k=9)
    assert [item for item, _ in found] == ["b", "c"]
    np.testing.assert_allclose([score for _, score in found], [0.5**0.5, 0.5], rtol=1e-6)
    # d was never taken, so it is like what its text is like: centred, (1, 1).
    assert [item for item, _ in shop.similar("d", k=9)] == ["a", "c", "b"]
    assert shop.similar("e") == []
    assert "co-consumption, or vectors 'text' for items without" in " ".join(shop.card["semantics"])


@pytest.mark.slow
def test_weights_are_those_of_a_visitor_with_the_item(small, tmp_path):
    ease = EASE(l2=1.0, top=3).fit(small)
    shop = Recommender(export(ease, small, tmp_path / "ease", **OPTIONS))
    for item in "abc":
        liked = shop.recommend(history=[item], k=9)
        found = shop.similar(item, k=9)
        assert found == [(other, score) for other, score in liked if score > 0]


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (ItemKNN, {"audience": True}, "audience needs a model whose score is the dot product"),
        (Popularity, {"audience": True}, "audience needs a model .* Received: Popularity"),
        (TextMean, {"similar": "image"}, r"'auto', 'none' or the name .* \['text'\].*'image'"),
    ],
)
def test_what_a_model_cannot_is_refused(small, tmp_path, model, options, says):
    fitted = model(**({"dims": 2} if model is TextMean else {})).fit(small)
    with pytest.raises(InputError, match=says) as caught:
        export(fitted, small, tmp_path / "shop", **options, **OPTIONS)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("saved_model.pb"))


@pytest.mark.parametrize("options", [{"audience": True}, {"similar": "text"}])
def test_a_ranker_has_neither(events, tmp_path, options):
    ranker = Ranker(events, dim=4, hidden=[4], cross_layers=1)
    with pytest.raises(
        InputError, match="similar, audience and search are only for models that rank"
    ):
        export(ranker, events, tmp_path / "shop", **options)


@pytest.mark.slow
def test_a_model_without_vectors_has_no_similar_items(small, tmp_path):
    shop = Recommender(export(Popularity().fit(small), small, tmp_path / "shop", **OPTIONS))
    assert "similar" not in shop._loaded.signatures
    named = export(Popularity().fit(small), small, tmp_path / "shop", similar="text", **OPTIONS)
    assert [item for item, _ in Recommender(named).similar("d", k=2)] == ["a", "c"]
