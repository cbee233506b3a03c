"""Filters, lists to choose from and rules, from an export's signatures."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.export.signatures.recommend import REQUEST_INPUTS
from tfrec_fusion.features import Features, Tags
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.classic import RecentPopularity
from tfrec_fusion.pipelines import Blend
from tfrec_fusion.rerank.business import Business

NOT_TEXT = b"\xff\xfe"


@pytest.fixture(scope="module")
def served(ruled):
    """The loaded export, its signature `recommend`, and what it must answer."""
    loaded = tf.saved_model.load(str(ruled[0]))
    return loaded, loaded.signatures["recommend"], ruled[1]


def _ask(function, inputs):
    specs = function.structured_input_signature[1]
    answer = function(**{n: tf.constant(v, specs[n].dtype) for n, v in inputs.items()})
    return answer["item_id"].numpy(), answer["score"].numpy()


def _requests(reference):
    """Random requests; what is left out of one is neutral."""
    items = st.sampled_from([*reference.ids[:80], "no such item", "", NOT_TEXT])
    users = st.sampled_from([*reference.reference.events.users.ids, "nobody", ""])
    texts = st.lists(st.sampled_from(["käse", "wein", "🧀", "no such text", ""]), max_size=3)
    tags = st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=3)
    prices = st.sampled_from([float("nan"), 1.0, 12.5, 30.0, 49.0, 60.0])
    return st.fixed_dictionaries(
        {"user_id": users},
        optional={
            "history": st.lists(items, max_size=4),
            "exclude": st.lists(items, max_size=30),
            "include": st.lists(items, max_size=60),
            "exclude_seen": st.booleans(),
            "category": texts,
            "tags": tags,
            "price_min": prices,
            "price_max": prices,
            "in_stock": st.booleans(),
        },
    )


@settings(max_examples=30, deadline=None)
@given(st.data())
@pytest.mark.slow
def test_merged_requests_answer_as_each_alone_and_as_the_reference(served, business, data):
    _, function, reference = served
    specs = function.structured_input_signature[1]
    one = st.tuples(st.lists(_requests(reference), min_size=1, max_size=3), st.integers(0, 12))
    waiting = data.draw(st.lists(one, min_size=1, max_size=3))
    if data.draw(st.booleans(), label="everything"):
        waiting[0] = (waiting[0][0], business.N_ITEMS + 5)
    parts = [business.arrays(requests, k, specs) for requests, k in waiting]
    rows = sum(len(requests) for requests, _ in waiting)
    ids, scores = _ask(function, business.merged(parts, size=rows + data.draw(st.integers(0, 2))))
    most = max(min(k, business.N_ITEMS) for _, k in waiting)
    assert ids.shape[1] == scores.shape[1] == most
    start = 0
    for (requests, k), part in zip(waiting, parts, strict=True):
        own = slice(start, start + len(requests))
        start = own.stop
        alone, alone_scores = _ask(function, part)
        assert alone.tolist() == ids[own, :k].tolist()
        np.testing.assert_allclose(alone_scores, scores[own, :k], rtol=1e-5, atol=1e-5)
        for place, request in enumerate(requests):
            business.check(reference, request, alone[place], alone_scores[place])


def test_neutral_inputs_change_nothing(served, business):
    loaded, function, reference = served
    users = [*reference.reference.events.users.ids[:5], "nobody"]
    neutral = business.arrays(
        [{"user_id": u} for u in users], 100, function.structured_input_signature[1]
    )
    ids, scores = _ask(function, neutral)
    default = loaded.signatures["serving_default"](user_id=tf.constant(users))
    assert ids.tolist() == default["item_id"].numpy().tolist()
    np.testing.assert_array_equal(scores, default["score"])
    for user, own, own_scores in zip(users, ids, scores, strict=True):
        business.check(reference, {"user_id": user}, own, own_scores)
    score = loaded.signatures["score"](
        user_id=tf.constant(users[:1]), item_id=tf.constant([["item 7"]])
    )
    (vector,), _ = reference.reference.users(users[:1], [[]])
    assert score["score"].numpy() == pytest.approx(
        reference.reference.item("item 7") @ vector, abs=1e-5
    )


def test_what_is_left_when_little_is_left(served, business):
    _, function, _ = served
    specs = function.structured_input_signature[1]
    for request in (
        {"include": [NOT_TEXT]},
        {"category": ["no such text"]},
        {"price_min": 1000.0},
        {"price_min": 30.0, "price_max": 20.0},
        {"include": ["item 5"], "exclude": ["item 5"]},
        {"include": ["item 3"]},
    ):
        ids, scores = _ask(function, business.arrays([{"user_id": "u3", **request}], 3, specs))
        assert ids.tolist() == [[b"", b"", b""]]
        assert (scores == business.LOWEST).all()
    ids, _ = _ask(function, business.arrays([{"user_id": "u3", "include": ["item 5"]}], 3, specs))
    assert ids.tolist() == [[b"item 5", b"", b""]]


def test_the_card_describes_the_inputs_and_has_the_rules(ruled, served, business):
    card = Recommender(ruled[0]).card
    described = card["signatures"]["recommend"]["inputs"]
    specs = served[1].structured_input_signature[1]
    assert set(described) == set(specs)
    for name, spec in specs.items():
        dtype, _, shape = described[name].partition(":")[0].partition(" ")
        assert (dtype, shape.count(",") + 1) == (spec.dtype.name, spec.shape.rank)
    assert card["filters"] == business.FILTERS
    assert card["rules"] == business.RULES


def test_the_recommender_takes_them_too(ruled):
    shop, reference = Recommender(ruled[0]), ruled[1]
    request = {"user_id": "u3", "history": ["item 9"], "exclude_seen": True, "price_max": 30.0}
    found = shop.recommend(
        "u3",
        ["item 9"],
        k=5,
        exclude_seen=True,
        include=reference.ids[:100],
        filters={"category": ["wein", "🧀"], "price_max": 30, "in_stock": True},
    )
    request |= {"include": reference.ids[:100], "category": ["wein", "🧀"], "in_stock": True}
    assert [item for item, _ in found] == reference.answer(request, 5)[0]
    assert shop.recommend("u3", include=[]) == shop.recommend("u3", filters={"tags": []}) == []
    assert shop.recommend("u3", filters={"tags": "a"}) == shop.recommend(
        "u3", filters={"tags": ["a"]}
    )
    for filters, says in [
        ({"colour": "red"}, "no filter 'colour'. Its filters: .*category"),
        ({"price_max": "10"}, "price_max must be a number. Received: '10'"),
        ({"in_stock": 1}, "in_stock must be True or False. Received: 1"),
        ({"category": [1]}, "category must hold strings. Received: 1"),
    ]:
        with pytest.raises(InputError, match=says):
            shop.recommend("u3", filters=filters)


def test_newer_attributes_of_the_same_items(business):
    catalogue = business.shop_events().catalogue
    frame = catalogue.frame.iloc[::-1].assign(category="brot", title="new")
    frame.loc[5, "category"] = "käse"
    found = Business.of(
        catalogue, ["category"], {"block": [{"match": {"category": "käse"}}]}, frame
    )
    assert np.flatnonzero(found.compiled.blocked).tolist() == [5]
    (category,) = found.attributes
    assert [category.texts[code] for code in category.data[0][4:7]] == ["brot", "käse", "brot"]
    assert set(found.catalogue.titles) == {"new"}


def _catalogue(**columns):
    return Catalogue(pd.DataFrame({"item_id": ["a", "b", "c"], **columns}))


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("colour", None, "items: no column 'colour'. Columns:"),
        ("history", ["x", "y", "z"], "column 'history' needs the input 'history', which recommend"),
        ("in stock", [True, False, True], "letters, digits and underscores.*Received: 'in stock'"),
        ("class", ["x", "y", "z"], "the name of a column becomes.*Received: 'class'"),
        ("day", pd.to_datetime(["2024"] * 3), "column 'day' must hold texts, lists of texts"),
        ("mixed", ["x", 1, "z"], "column 'mixed' must hold text, but 1 values are not"),
        ("tags", [["x"], [1], []], "column 'tags' must hold lists of texts, but 1 of their values"),
        ("text", ["a\nb", "", "x"], "column 'text' has 1 texts with line breaks"),
    ],
)
def test_columns_that_cannot_filter(column, values, says):
    catalogue = _catalogue(**({} if values is None else {column: values}))
    with pytest.raises(InputError, match=says) as caught:
        Business.of(catalogue, [column], inputs=[one.name for one in REQUEST_INPUTS])
    assert "\n" not in str(caught.value)


def test_inputs_of_two_columns_may_not_be_the_same():
    catalogue = _catalogue(price=[1.0, 2.0, 3.0], price_min=[True, False, True])
    with pytest.raises(
        InputError, match="'price_min' needs the input 'price_min', which recommend"
    ):
        Business.of(catalogue, ["price", "price_min"])
    with pytest.raises(InputError, match=r"filters must be a list of columns\. Received: 'price'"):
        Business.of(catalogue, "price")


def test_items_must_be_the_models():
    with pytest.raises(InputError, match=r"3 item ids; 1 are missing, e.g. \['c'\], and 1 are new"):
        Business.of(_catalogue(), items=pd.DataFrame({"item_id": ["a", "b", "x"]}))


def test_a_ranker_takes_none(golden, tmp_path):
    events = golden.ranker_events()
    model = golden.random_ranker(events, {})
    with pytest.raises(InputError, match="filters, rules and rerank are only for models that rank"):
        export(model, events, tmp_path / "rank", filters=["colour"])


def _tagged(genres):
    """Events of four items whose genres are texts, and a two-tower that splits them at "|"."""
    items = pd.DataFrame({"item_id": list("abcd"), "genres": genres})
    rows = [(user, item) for user in "xyz" for item in "abc"]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=1.7e9)
    data = Interactions.from_frame(frame, Catalogue(items))
    genres = Tags(column="genres", separator="|")
    return data, TwoTower(data, dim=4, features=Features(item=[genres]))


@pytest.mark.parametrize("blended", [False, True])
def test_filters_and_rules_split_a_column_as_the_tags_of_the_model(tmp_path, blended):
    data, model = _tagged(["War|Drama", "Drama ", "Comedy", None])
    if blended:
        model = Blend({"recent": RecentPopularity().fit(data), "tower": model})
    block = {"block": [{"match": {"genres": "Comedy"}}]}
    version = export(model, data, tmp_path / "shop", filters=["genres"], rules=block)
    shop = Recommender(version)
    found = {item for item, _ in shop.recommend(filters={"genres": "Drama"})}
    assert found == {"a", "b"}
    assert {item for item, _ in shop.recommend()} == {"a", "b", "d"}
    assert shop.recommend(filters={"genres": "War|Drama"}) == []


def test_members_that_split_a_column_differently_are_refused_with_its_filter(tmp_path):
    data, model = _tagged(["a|b;c", "a", "b", "c"])
    other = TwoTower(data, dim=4, features=Features(item=[Tags(column="genres", separator=";")]))
    blend = Blend({"one": model, "other": other})
    with pytest.raises(InputError, match=r"split column 'genres' in different ways.*Received: ';'"):
        export(blend, data, tmp_path / "shop", filters=["genres"])
    alike = Blend({"one": model, "again": _tagged(["a|b;c", "a", "b", "c"])[1]})
    export(alike, data, tmp_path / "shop", filters=["genres"])
