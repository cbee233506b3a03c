"""Two stages: the order by hand, the parts run apart, saving, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from fixed_scores import Fixed
from golden import RANKERS, events_of, random_ranker
from two_stages import candidates_apart, scores_apart

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.features import State
from tfrec_fusion.models import Model, Ranker
from tfrec_fusion.models.classic import EASE, TextMean
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.pipelines import Blend, TwoStage
from tfrec_fusion.pipelines.packed_inputs import PackedInputs

TRAIN = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "c"), ("w", "b")]
TEST = [("u", "c"), ("v", "e")]
USERS = np.array([0, 1, 2, -1], np.int32)


class Alphabet(RowServing):
    """Scores item r by its place in `order`; the history of the user is worth nothing."""

    reads_users, reads_history, history_length = False, False, 64

    def __init__(self, order):
        super().__init__(name="serving")
        self.order = tf.Variable(order, trainable=False, dtype=tf.float32)

    def answers(self, inputs):
        return {"score": tf.gather(self.order, inputs["item"])}


class Letters(Ranker):
    """A ranker whose logits a test chooses."""

    order = (0.0,) * 5

    def serving(self, state, precision="float32"):
        return Alphabet(self.order)


@pytest.fixture
def split(temporal):
    """Users u, v and w, items a to e, of which d and e are cold."""
    return temporal(TRAIN, TEST)


@pytest.fixture
def ranker(split):
    made = Letters(split.train, dim=4, hidden=[4], cross_layers=0)
    made.order = (3.0, -2.0, 0.5, 7.0, 1.5)
    return made


def test_the_order_by_hand(split, ranker):
    retrieval = Fixed(5, 4, 3, 2, 1).fit(split.train)
    scores = TwoStage(retrieval, ranker, candidates=2).scorer(State.of(split.train))(USERS)
    # u had a and b: the best of c, d, e are c and d, with their logits 0.5 and 7. From 1 below the
    # lower one on, a scores -0.5, and as the retrieval's scores span 4, each of them is worth 2.5.
    np.testing.assert_allclose(scores[0], [-0.5, -3.0, 0.5, 7.0, -10.5])
    # v had a and c: b and d are ranked; w had b: a and c; an unknown user nothing: a and b.
    np.testing.assert_allclose(scores[1], [-3.0, -2.0, -8.0, 7.0, -13.0])
    np.testing.assert_allclose(scores[2], [3.0, -3.0, 0.5, -8.0, -10.5])
    np.testing.assert_allclose(scores[3], [3.0, -2.0, -8.0, -10.5, -13.0])


def test_the_scale_of_the_retrieval_does_not_matter(split, ranker):
    """Added to logits, scores a millionth apart would tie in float32."""
    small, equal = Fixed(5e-7, 4e-7, 3e-7, 2e-7, 1e-7), Fixed(1, 1, 1, 1, 1)
    scores, ties = (
        TwoStage(one.fit(split.train), ranker, candidates=2).scorer(State.of(split.train))(USERS)
        for one in (small, equal)
    )
    np.testing.assert_allclose(scores[3], [3.0, -2.0, -8.0, -10.5, -13.0], rtol=1e-5)
    np.testing.assert_allclose(ties[3], [3.0, -2.0, -3.0, -3.0, -3.0])


def test_the_retrieval_is_weighed_in(split, ranker):
    retrieval = Fixed(5, 4, 3, 2, 1).fit(split.train)
    options = {"candidates": 3, "retrieval_weight": 2.0}
    scores = TwoStage(retrieval, ranker, **options).scorer(State.of(split.train))(USERS)
    # Of an unknown user a, b and c score 5, 4 and 3, whose standard deviation is the root of 2/3.
    z = 1 / np.sqrt(2 / 3)
    ranked = [3 + 2 * z, -2, 0.5 - 2 * z]
    lowest = min(ranked) - 1
    np.testing.assert_allclose(scores[3], [*ranked, lowest - 7.5, lowest - 10], rtol=1e-6)
    # More candidates than items are left to u: those of the history are not in the mean.
    options["candidates"] = 4
    scores = TwoStage(retrieval, ranker, **options).scorer(State.of(split.train))(USERS)
    np.testing.assert_allclose(scores[0, 2:], [0.5 + 2 * z, 7, 1.5 - 2 * z], rtol=1e-6)
    equal = TwoStage(Fixed(*[1] * 5).fit(split.train), ranker, **options)
    scores = equal.scorer(State.of(split.train))(USERS)
    np.testing.assert_allclose(scores[3, :4], [3.0, -2.0, 0.5, 7.0])


@pytest.mark.parametrize("candidates", [1, 5, 200])
def test_more_candidates_than_items_are_left(split, ranker, candidates):
    retrieval = Fixed(5, 4, 3, 2, 1).fit(split.train)
    scores = TwoStage(retrieval, ranker, candidates=candidates).scorer(State.of(split.train))(USERS)
    # Of u, who has a and b, c, d and e are left.
    order = [2, 3, 4] if candidates == 1 else [3, 4, 2]
    assert [row for row in np.argsort(-scores[0]) if row > 1] == order


@pytest.mark.parametrize(
    "name",
    [
        "id only",
        pytest.param("all", marks=pytest.mark.slow),
        *(
            pytest.param(name, marks=pytest.mark.acceptance)
            for name in ("no times", "din", "order", "serial")
        ),
    ],
)
def test_both_stages_score_as_the_parts_do_apart(name, tmp_path):
    events = events_of(name)
    ranker, retrieval = random_ranker(events, RANKERS[name][1]), EASE(l2=2.0).fit(events)
    options = {"candidates": 6, "retrieval_weight": 0.5}
    model, state = TwoStage(retrieval, ranker, **options), State.of(events)
    assert isinstance(model, Model) and model.reads_user_ids == (name in ("all", "id only"))
    users = np.array([-1, 0, 3, 7, 11, 24], np.int32)
    scores = model.scorer(state)(users)
    np.testing.assert_allclose(scores, scores_apart(model, state, users), atol=1e-5)
    model.save(tmp_path / "feed")
    loaded = TwoStage.load(tmp_path / "feed")
    assert (loaded.config, loaded.spec) == (model.config, model.spec)
    np.testing.assert_allclose(loaded.scorer(state)(users), scores, atol=1e-6)
    serving = loaded.serving(state)
    items, positions, ages = map(tf.constant, state.flat_histories(users))
    queries = serving.users(tf.constant(users), items, positions, ages)
    np.testing.assert_allclose(serving.all_scores(queries), scores, atol=1e-5)


def test_only_the_last_items_of_a_long_history_are_read(make_events):
    """A ranker reads 64; the retrieval model reads all 70."""
    rows = [("u", row, float(row)) for row in range(70)] + [
        ("v", 70 + row, 99.0) for row in range(8)
    ]
    rows = [(user, chr(200 + item), time) for user, item, time in rows]
    events = make_events(rows, [chr(200 + row) for row in range(80)])
    ranker = random_ranker(events, {"backbone": "bst", "backbone_options": {"positions": "order"}})
    model = TwoStage(EASE(l2=2.0).fit(events), ranker, candidates=6)
    state, users = State.of(events), np.array([0, 1, -1], np.int32)
    scores = model.scorer(state)(users)
    np.testing.assert_allclose(scores, scores_apart(model, state, users), atol=1e-5)
    serving = model.serving(state)
    items, positions, ages = map(tf.constant, state.flat_histories(users))
    queries = serving.users(tf.constant(users), items, positions, ages)
    np.testing.assert_allclose(serving.all_scores(queries), scores, atol=1e-5)


def test_candidates_are_among_the_items_that_a_request_allows(split, ranker):
    retrieval, state = Fixed(5, 4, 3, 2, 1).fit(split.train), State.of(split.train)
    serving = TwoStage(retrieval, ranker, candidates=2).serving(state)
    items, positions, ages = map(tf.constant, state.flat_histories(USERS))
    queries = serving.users(tf.constant(USERS), items, positions, ages)
    allowed = tf.constant([[True, True, False, True, True]] * 4)
    ranked, scores = serving.among(queries, lambda: allowed)
    # Without c, u's candidates are d and e.
    np.testing.assert_allclose(scores[0], [0.5, -2.0, -4.5, 7.0, 1.5])
    assert ranked.best(scores, 2, None, allowed=allowed)[1][3].numpy().tolist() == [0, 1]
    # The answers of other functions do not depend on the request.
    np.testing.assert_allclose(serving.all_scores(queries)[0], [-0.5, -3.0, 0.5, 7.0, -10.5])
    known = serving.scores_with_unknown(queries, tf.constant([[3, -1]] * 4))
    np.testing.assert_allclose(known[0], [7.0, -0.5 - 12.5])  # an unknown item scores 0, not 1


def test_it_is_evaluated_and_a_retrieval_may_be_a_composition(split, ranker):
    members = {
        "ease": EASE(l2=1.0).fit(split.train),
        "fixed": Fixed(5, 4, 3, 2, 1).fit(split.train),
    }
    model = TwoStage(Blend(members), ranker, candidates=2)
    report = evaluate(model, split, bootstrap=0)
    assert report.name == "Letters over Blend"
    assert 0 <= report.metrics["total"]["ndcg@10"] <= 1
    assert model.refreshes and model.ranks_catalogue and not model.explains


def test_inputs_are_packed_without_loss():
    inputs = {
        "user": tf.constant([2**31 - 1, -1, -(2**31)], tf.int32),
        "history": tf.constant([[0, 70_000], [-1, 2**24 + 1], [-65_537, 65_536]], tf.int32),
        "nothing": tf.zeros([3, 0], tf.int32),
        "age": tf.constant([[0.1, 1e30], [np.nan, -np.inf], [0, 1]], tf.float32),
    }
    packed = PackedInputs({name: one[:0] for name, one in inputs.items()})
    columns = packed.pack(inputs)
    assert columns.shape == (3, 2 + 4 + 0 + 2)
    for name, values in packed.unpack(columns).items():
        assert values.dtype == inputs[name].dtype
        np.testing.assert_array_equal(values, inputs[name])


def test_parts_that_do_not_fit_are_refused(split, ranker):
    retrieval = Fixed(5, 4, 3, 2, 1).fit(split.train)
    with pytest.raises(InputError, match=r"TwoStage: members: 'ranker' must score given items, as"):
        TwoStage(retrieval, retrieval)
    with pytest.raises(InputError, match=r"TwoStage: members: 'retrieval' must rank the catalogue"):
        TwoStage(ranker, ranker)
    with pytest.raises(InputError, match=r"'retrieval' is not fitted.*Received: EASE"):
        TwoStage(EASE(), ranker)
    with pytest.raises(InputError, match=r"TwoStage: candidates: .*greater than 0.*Received: 0"):
        TwoStage(retrieval, ranker, candidates=0)
    with pytest.raises(InputError, match=r"TwoStage: retrieval_weight: .*Received: -1"):
        TwoStage(retrieval, ranker, retrieval_weight=-1)
    with pytest.raises(InputError, match=r"TwoStage: candidate: Extra inputs.*Received: 3"):
        TwoStage(retrieval, ranker, candidate=3)
    with pytest.raises(InputError, match=r"Blend: members: 'r' must rank the catalogue; a Letters"):
        Blend({"r": ranker})


def test_parts_of_other_items_are_refused(split, ranker, temporal):
    other = temporal(TRAIN, TEST, items="abcdef").train
    with pytest.raises(InputError, match=r"TwoStage: the members were trained on different catal"):
        TwoStage(EASE(l2=1.0).fit(other), ranker)
    model = TwoStage(EASE(l2=1.0).fit(split.train), ranker)
    with pytest.raises(InputError):
        model.scorer(State.of(other))


def test_scores_that_are_not_finite_and_wrong_rows_are_refused(split, ranker):
    ranker.order = (3.0, -2.0, float("nan"), 7.0, 1.5)
    retrieval, state = Fixed(5, 4, 3, 2, 1).fit(split.train), State.of(split.train)
    model = TwoStage(retrieval, ranker, candidates=2)
    with pytest.raises(InputError, match=r"TwoStage: the ranker gives scores that are not finite"):
        model.scorer(state)(USERS)
    with pytest.raises(InputError, match=r"TwoStage: users must be .* Received: 1 others, first 3"):
        model.scorer(state)(np.array([0, 3]))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda saved: saved.pop("members"), "damaged: KeyError"),
        (lambda saved: saved.update(format=2), "another format, 2"),
    ],
)
def test_a_damaged_folder_is_told(split, ranker, tmp_path, damage, says):
    TwoStage(EASE(l2=1.0).fit(split.train), ranker).save(tmp_path / "feed")
    path = tmp_path / "feed" / "two_stage.json"
    saved = json.loads(path.read_text())
    damage(saved)
    path.write_text(json.dumps(saved))
    with pytest.raises(InputError, match=f"TwoStage: the folder is .*{says}.*Received: .*feed"):
        TwoStage.load(tmp_path / "feed")


def test_cold_items_and_new_users_are_ranked(make_events):
    """Text proposes items that nobody has bought, to users who have bought nothing."""
    rng = np.random.default_rng(0)
    frame = {"user_id": ["u", "u", "v"], "item_id": ["a", "b", "c"], "timestamp": [0.0, 1.0, 2.0]}
    vectors = {"text": rng.normal(size=(5, 4)).astype(np.float32)}
    catalogue = Catalogue(pd.DataFrame({"item_id": [*"abcde"]}), vectors)
    events = Interactions.from_frame(pd.DataFrame(frame), catalogue)
    ranker = random_ranker(events, {"use_ids": False, "whitening_dim": None})
    model = TwoStage(TextMean(vectors="text", dims=4).fit(events), ranker, candidates=3)
    state, users = State.of(events), np.array([0, -1], np.int32)
    scores = model.scorer(state)(users)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores, scores_apart(model, state, users), atol=1e-5)
    rows = candidates_apart(model, state, users)
    assert {*rows[0]} == {2, 3, 4}
