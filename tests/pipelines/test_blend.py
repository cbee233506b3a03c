"""Blends of fitted models: scores by hand, options, saving, and what is refused."""

import numpy as np
import pytest
from fixed_scores import Fixed

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate, explain
from tfrec_fusion.features import State
from tfrec_fusion.models import Model, Ranker, TwoTower
from tfrec_fusion.models.classic import EASE, ClassicModel, ItemVectors, Popularity
from tfrec_fusion.pipelines import Blend

TRAIN = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "c"), ("w", "b")]
TEST = [("u", "c"), ("v", "e")]
USERS = np.array([0, 1, 2, -1], np.int32)


class ByText(ClassicModel):
    """Scores by fixed vectors of the items."""

    def fitted(self, train):
        return ItemVectors(np.array([[1, 0], [0, 1], [1, 1], [2, 1], [0.5, 3]], np.float32))


@pytest.fixture
def split(temporal):
    """Users u, v and w, items a to e, of which d and e are cold."""
    return temporal(TRAIN, TEST)


def _scores(blend, events, users=USERS):
    return blend.scorer(State.of(events))(users)


def _fixed(split, **members):
    return {name: Fixed(*values).fit(split.train) for name, values in members.items()}


def test_reciprocal_ranks_by_hand(split):
    members = _fixed(split, one=(5, 4, 3, 2, 1), other=(1, 1, 1, 1, 2))
    blend = Blend(members, weights={"one": 1.0, "other": 0.5})
    # u had a and b, so c, d, e have ranks 1, 2, 3 in one, and 2.5, 2.5, 1 in the other.
    wanted = [1 / 11 + 0.5 / 12.5, 1 / 12 + 0.5 / 12.5, 1 / 13 + 0.5 / 11]
    np.testing.assert_allclose(_scores(blend, split.train)[0, 2:], wanted, rtol=1e-6)
    # An unknown user has no history: all five are candidates.
    wanted = [1 / 11, 1 / 12, 1 / 13, 1 / 14, 1 / 15] + 0.5 / np.array([13.5] * 4 + [11])
    np.testing.assert_allclose(_scores(blend, split.train)[3], wanted, rtol=1e-6)


def test_z_scores_and_plain_sums_by_hand(split):
    members = _fixed(split, one=(9, 9, 1, 3, 5), other=(0, 1, 2, 3, 4))
    weights = {"one": 2.0, "other": 1.0}
    spread = np.sqrt(8 / 3)  # of 1, 3, 5, and of 2, 3, 4 half of it but for the root
    found = _scores(Blend(members, weights=weights, how="zscore"), split.train)[0, 2:]
    np.testing.assert_allclose(
        found, 2 * np.array([-2, 0, 2]) / spread + np.array([-1, 0, 1]) / np.sqrt(2 / 3), rtol=1e-5
    )
    found = _scores(Blend(members, weights=weights, how="weighted"), split.train)
    np.testing.assert_allclose(found, np.tile([18, 19, 4, 9, 14], (4, 1)))


@pytest.mark.parametrize("how", ["rank", "zscore", "weighted"])
def test_unseen_items_keep_the_order_of_their_member(split, how):
    members = _fixed(split, one=(1, 2, 3, 9, 8), text=(5, 4, 3, 1, 2))
    plain = _scores(Blend(members, weights={"one": 1.0, "text": 0.1}, how=how), split.train)
    weights = {"one": 1.0, "text": 0.1}
    found = _scores(Blend(members, weights=weights, how=how, cold="text"), split.train)
    assert (plain[:, 3] > plain[:, 4]).all()
    np.testing.assert_array_equal(found[:, :3], plain[:, :3])
    np.testing.assert_allclose(found[:, 3:], plain[:, [4, 3]])


def test_users_with_short_histories_have_weights_of_their_own(split):
    members = _fixed(split, one=(5, 4, 3, 2, 1), other=(1, 2, 3, 4, 5))
    new = {"events": 1, "weights": {"one": 0.0, "other": 2.0}}
    blend = Blend(members, how="weighted", new_users=new)
    # u and v have two events, w one, the unknown user none.
    wanted = [[6] * 5, [6] * 5, [2, 4, 6, 8, 10], [2, 4, 6, 8, 10]]
    np.testing.assert_allclose(_scores(blend, split.train), wanted)


def test_history_items_stay_candidates_where_repeats_count(split):
    train = split.train.with_repeats("all")
    members = {"one": Fixed(5, 4, 3, 2, 1).fit(train)}
    wanted = 1 / (10 + np.arange(1, 6))
    np.testing.assert_allclose(_scores(Blend(members), train)[0], wanted, rtol=1e-6)


def test_a_blend_of_one_member_ranks_as_the_member(split):
    member = EASE(l2=1.0).fit(split.train)
    for how in ("rank", "zscore", "weighted"):
        alone, blend = evaluate(member, split), evaluate(Blend({"ease": member}, how=how), split)
        assert blend.metrics["total"] == alone.metrics["total"]


def _members(train, vectors=True):
    return {
        "ease": EASE(l2=1.0).fit(train),
        "popular": Popularity().fit(train),
        "text": ByText().fit(train),
    }


OPTIONS = [
    {},
    {"how": "zscore", "weights": {"ease": 1.0, "popular": 0.5, "text": 2.0}},
    {"how": "weighted", "cold": "text"},
    {"cold": "text", "new_users": {"events": 1, "weights": dict(ease=0, popular=1, text=1)}},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_graph_scores_as_numpy_does_and_so_does_a_saved_blend(split, options, tmp_path):
    blend, state = Blend(_members(split.train), **options), State.of(split.train)
    assert isinstance(blend, Model)
    expected = blend.scorer(state)(USERS)
    blend.save(tmp_path / "blend")
    loaded = Blend.load(tmp_path / "blend")
    assert (loaded.config, loaded.spec) == (blend.config, blend.spec)
    np.testing.assert_array_equal(loaded.scorer(state)(USERS), expected)
    serving = loaded.serving(state, explain=True)
    items, positions, ages = map(tf.constant, state.flat_histories(USERS))
    queries = serving.users(tf.constant(USERS), items, positions, ages)
    np.testing.assert_allclose(serving.all_scores(queries), expected, atol=1e-5)
    rows = tf.tile([[0, 4, -1]], [4, 1])
    scores = serving.scores_with_unknown(queries, rows)
    np.testing.assert_allclose(scores[:, :2], expected[:, [0, 4]], atol=1e-5)
    pairs = tf.stack([positions, items], 1)
    shares = serving.explained(tf.constant(USERS), pairs, ages, rows)
    np.testing.assert_allclose(shares["score"], scores, atol=1e-5)
    parts = [value for name, value in shares.items() if name != "score"]
    np.testing.assert_allclose(tf.add_n(parts), scores, atol=1e-5)
    assert [*serving.explanation.meanings] == [
        name.removeprefix("share_") for name in shares if name.startswith("share_")
    ]


def test_shares_by_member(split):
    members = _fixed(split, one=(5, 4, 3, 2, 1), other=(1, 2, 3, 4, 5))
    blend = Blend(members, weights={"one": 1.0, "other": 0.5}, cold="other")
    frame = explain(blend, split.train, ["u", "u", "nobody"], ["c", "e", "a"])
    assert [*frame.columns[2:7]] == ["score", "one", "other", "cold", "bias"]
    np.testing.assert_allclose(frame["one"], [1 / 11, 1 / 13, 1 / 11], rtol=1e-6)
    np.testing.assert_allclose(frame["other"], [0.5 / 13, 0.5 / 11, 0.5 / 15], rtol=1e-6)
    shares = frame[["one", "other", "cold", "bias"]].sum(axis=1)
    rows, items = split.train.users.rows(["u", "u", "nobody"]), [2, 4, 0]
    wanted = _scores(blend, split.train, rows)[[0, 1, 2], items]
    np.testing.assert_allclose(shares, wanted, rtol=1e-6)
    np.testing.assert_allclose(frame["score"], wanted, rtol=1e-6)


def test_blends_of_blends(split):
    inner = Blend(_members(split.train), how="zscore")
    outer = Blend({"inner": inner, "popular": Popularity().fit(split.train)})
    state = State.of(split.train)
    items, positions, ages = map(tf.constant, state.flat_histories(USERS))
    queries = outer.serving(state).users(tf.constant(USERS), items, positions, ages)
    np.testing.assert_allclose(queries[:, :-1], outer.scorer(state)(USERS), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"weights": {"ease": 1.0}},
            "weights: must have one number for each .* lacks 'pop",
        ),
        ({"weights": dict(ease=1, popular=1, text=1, x=1)}, "it has no member 'x'"),
        ({"weights": dict(ease=0, popular=0, text=0)}, "must have a number above 0"),
        ({"weights": dict(ease=-1, popular=1, text=1)}, "weights.ease: .* greater than or equal"),
        ({"weights": dict(ease=np.nan, popular=1, text=1)}, "weights.ease: .* finite"),
        ({"how": "stack"}, "Blend: how: .*'rank'.* Received: 'stack'"),
        ({"k": 0}, "Blend: k: .* greater than 0"),
        ({"cold": "words"}, "Blend: cold: must name a member, one of ease, .* Received: 'words'"),
        ({"new_users": {"events": 3}}, "new_users.weights: Field required"),
        (
            {"new_users": {"events": 3, "weights": {"ease": 1.0}}},
            "Blend: new_users: the weights must have one number for each member",
        ),
    ],
)
def test_wrong_options_are_named(split, options, says):
    with pytest.raises(InputError, match=says) as raised:
        Blend(_members(split.train), **options)
    assert "\n" not in str(raised.value)
    # The field's value alone, without the members' configs.
    ((field, value),) = options.items()
    received = str(raised.value).partition("Received: ")[2]
    assert "config" not in received and len(received) <= len(repr(value)) + 30
    assert str(raised.value).startswith(f"Blend: {field}")


def test_wrong_members_are_named(split, temporal):
    train = split.train
    fitted = Popularity().fit(train)
    other = Popularity().fit(temporal(TRAIN, TEST, items="abced").train)
    repeated = Popularity().fit(train.with_repeats("all"))
    ranker = Ranker(train, dim=2, hidden=[2])
    for members, says in [
        ({}, "at least one"),
        ([fitted], "mapping of names to fitted models.* Received: list"),
        ({"a b": fitted}, "begin with a letter.* Received: 'a b'"),
        ({"cold": fitted}, "be none of .*cold.* Received: 'cold'"),
        ({1: fitted}, "Received: 1"),
        ({"x": "EASE"}, "'x' must be a fitted model.* Received: 'EASE'"),
        ({"x": Popularity}, "'x' must be a fitted model"),
        ({"x": Popularity()}, r"'x' is not fitted; call fit\(split.train\) first"),
        ({"x": ranker}, "'x' must rank the catalogue; a Ranker"),
        ({"x": fitted, "y": other}, "trained on different catalogues.* Received: x .*, y "),
        ({"x": fitted, "y": repeated}, "count repeated events differently.* x first, y all"),
    ]:
        with pytest.raises(InputError, match=says) as raised:
            Blend(members)
        assert "\n" not in str(raised.value)


def test_members_that_read_other_users_are_refused(temporal):
    one, other = (
        TwoTower(temporal(pairs, TEST).train, dim=2, user="id", trend=False)
        for pairs in (TRAIN, [*TRAIN, ("x", "a")])
    )
    with pytest.raises(InputError, match="read the ids of different users"):
        Blend({"one": one, "other": other})


def test_members_of_different_users_are_told_of(temporal, caplog):
    events = [temporal(pairs, TEST).train for pairs in (TRAIN, [*TRAIN, ("x", "a")])]
    caplog.clear()  # the events' own warnings
    Blend({"one": Popularity().fit(events[0]), "again": EASE().fit(events[0])})
    assert not caplog.records
    Blend({"one": Popularity().fit(events[0]), "other": EASE().fit(events[1])})
    (record,) = caplog.records
    assert "trained on events of different users, one " in record.getMessage()


def test_scores_that_are_not_finite_name_the_member(split):
    members = _fixed(split, good=(1, 2, 3, 4, 5), bad=(1, 2, np.nan, 4, 5))
    with pytest.raises(InputError, match=r"member 'bad' gives scores that are not finite"):
        _scores(Blend(members), split.train)


class Says(ClassicModel):
    """Its scores are what a test says, or what it calls for the users."""

    def __init__(self, said):
        super().__init__()
        self._said = said

    def fitted(self, train):
        return Popularity().fit(train).scores

    def scorer(self, state):
        return self._said if callable(self._said) else lambda users: self._said


@pytest.mark.parametrize(
    ("said", "received"),
    [
        (np.full((4, 5), "good"), "<U4"),
        (np.full((4, 5), "1.5"), "<U3"),
        (np.full((4, 5), "good", object), "object"),
        ([["1", "2"], ["3"]], "list"),
        (np.full((4, 5), 1j), "complex128"),
    ],
)
def test_scores_that_are_no_numbers_name_the_member(split, said, received):
    members = {"good": Popularity().fit(split.train), "bad": Says(said).fit(split.train)}
    says = rf"Blend: the member 'bad' must score .* by numbers. Received: {received}"
    with pytest.raises(InputError, match=says):
        _scores(Blend(members), split.train)


def test_an_error_of_a_member_names_it(split):
    def fails(users):
        return np.zeros((2, 5))[users]  # it knows two of three users

    blend = Blend({"good": Popularity().fit(split.train), "bad": Says(fails).fit(split.train)})
    with pytest.raises(IndexError) as error:
        _scores(blend, split.train)
    assert error.value.__notes__ == ["Blend: while the member 'bad' was scoring"]


@pytest.mark.parametrize(
    ("users", "says"),
    [
        ([0, 3, 7], r"rows of the events' 3 users.* Received: 2 others, first 3"),
        ([-2], r"rows of .* Received: 1 others, first -2"),
        ([0.0, 1.0], r".* whole numbers.* Received: \[2\] float64"),
        (["u"], r".* whole numbers.* Received: \[1\] <U1"),
        (0, r"rows \[users\].* Received: \[\] int64"),
    ],
)
def test_user_rows_are_checked(split, users, says):
    blend = Blend(_members(split.train))
    scorer = blend.scorer(State.of(split.train))
    with pytest.raises(InputError, match=f"Blend: users must be {says}"):
        scorer(users)
    assert scorer([]).shape == (0, 5)


def test_other_events_are_refused(split, temporal):
    blend = Blend(_members(split.train))
    other = temporal(TRAIN, TEST, items="abced").train
    for use in (blend.scorer, blend.serving):
        with pytest.raises(InputError, match="the model was built for other items"):
            use(State.of(other))


def test_what_is_no_saved_blend(split, tmp_path):
    with pytest.raises(InputError, match="the path has no saved blend"):
        Blend.load(tmp_path)
    Blend(_members(split.train)).save(tmp_path / "blend")
    (tmp_path / "blend" / "members" / "ease" / "model.json").unlink()
    with pytest.raises(InputError, match="no saved model"):
        Blend.load(tmp_path / "blend")
