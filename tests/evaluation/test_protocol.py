import tracemalloc

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate, protocol
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import Popularity


class Table:
    """A model that looks its scores up."""

    name = "table"

    def __init__(self, scores):
        self.scores = np.asarray(scores, np.float32)

    def scorer(self, state):
        return lambda users: self.scores[users]


class Vectors(Table):
    """The same scores as dot products."""

    def scorer(self, state):
        def scores(users):
            return self.scores[users]

        scores.item_vectors, scores.user_vectors = np.eye(5, dtype=np.float32), scores
        return scores


@pytest.fixture
def split(temporal):
    # Users u, v. Training popularity: a 2, b 1, d 1; c and e are cold.
    train = [("u", "a"), ("v", "a"), ("u", "b"), ("v", "d")]
    # u: d (warm) and e (cold) are new. v: c (cold). The unknown user w is not evaluated.
    test = [("u", "d"), ("u", "e"), ("v", "c"), ("w", "a")]
    return temporal(train, test)


#           a  b  c  d  e
SCORES = [[9, 8, 5, 4, 1], [9, 3, 2, 8, 2]]


def test_five_items_by_hand(split):
    report = evaluate(Table(SCORES), split, k=(2, 3), bootstrap=0)
    # u: candidates c 5, d 4, e 1 (a, b seen); targets d, e at ranks 2 and 3.
    # v: candidates b 3, c 2, e 2 (a, d seen); target c ties with e: rank 2 or 3.
    u_ndcg2 = (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    v_ndcg2 = (1 / np.log2(3) + 0) / 2
    np.testing.assert_allclose(report.per_user["ndcg@2"], [u_ndcg2, v_ndcg2])
    np.testing.assert_allclose(report.per_user["recall@2"], [1 / 2, 1 / 2])
    np.testing.assert_allclose(report.per_user["recall@3"], [1, 1])
    np.testing.assert_allclose(report.per_user["hr@2"], [1, 1 / 2])
    np.testing.assert_allclose(report.per_user["mrr@3"], [1 / 2, (1 / 2 + 1 / 3) / 2])
    np.testing.assert_allclose(report.per_user["map@3"], [(1 / 2 + 2 / 3) / 2, 5 / 12])
    assert report.metrics["total"]["recall@2"] == pytest.approx(1 / 2)
    assert report.users.tolist() == [0, 1]
    assert report.counts["total"] == {"users": 2, "targets": 3}
    # Lists at 2: u c d, v b c (its tie goes to the lower row): b, c, d of five items.
    assert report.metrics["total"]["coverage@2"] == pytest.approx(3 / 5)
    # Four training events, five items: share (events + 1) / 9, so c 1/9, d and b 2/9.
    bits = (np.log2(9) + np.log2(9 / 2)) / 2
    np.testing.assert_allclose(report.per_user["novelty@2"], [bits, bits])


def test_slices_by_hand(split):
    report = evaluate(Table(SCORES), split, k=1, bootstrap=0)
    assert list(report.metrics) == [
        *("total", "warm", "cold", "head", "tail"),
        *("new users", "old users"),
    ]
    # warm: u's target d, the only warm candidate left (a, b seen).
    assert report.counts["warm"] == {"users": 1, "targets": 1}
    assert report.metrics["warm"]["recall@1"] == 1
    # cold: candidates c and e. u wants e (1) below c (5): 0. v wants c (2), tied with e (2): 1/2.
    assert report.counts["cold"] == {"users": 2, "targets": 2}
    assert report.slice_per_user["cold"]["recall@1"].tolist() == [0.0, 0.5]
    assert report.slice_users["cold"].tolist() == [0, 1]
    # head: one of three warm items, a; nobody's target.
    assert report.counts["head"] == {"users": 0, "targets": 0}
    assert np.isnan(report.metrics["head"]["recall@1"])
    # tail: u's d against c and not against u's other target e: rank 2.
    assert report.metrics["tail"]["mrr@1"] == 0
    assert evaluate(Table(SCORES), split, k=2, bootstrap=0).metrics["tail"]["mrr@2"] == 0.5
    # Both users have two training items.
    assert report.counts["new users"] == {"users": 2, "targets": 3}
    assert report.counts["old users"] == {"users": 0, "targets": 0}
    assert report.metrics["new users"]["recall@1"] == report.metrics["total"]["recall@1"]


def test_a_perfect_model_reaches_one_in_every_slice():
    generator = np.random.default_rng(0)
    pairs = pd.DataFrame(
        {
            "user_id": generator.integers(0, 40, 1500).astype(str),
            "item_id": (generator.random(1500) ** 2 * 120).astype(int).astype(str),
            "timestamp": np.sort(generator.random(1500)) * 1e6,
        }
    )
    catalogue = Catalogue(pd.DataFrame({"item_id": [str(i) for i in range(120)]}))
    split = Interactions.from_frame(pairs, catalogue).split("temporal", test=0.3)
    users, targets = split.targets()
    scores = np.zeros((len(split.train.users), 120), np.float32)
    scores[np.repeat(users, targets.lengths), targets.items] = generator.random(len(targets.items))
    scores[scores > 0] += 1
    report = evaluate(Table(scores), split, bootstrap=0)
    for label, values in report.metrics.items():
        if report.counts[label]["users"]:
            assert values["ndcg@10"] == pytest.approx(1), label
            assert values["map@20"] == pytest.approx(1), label


def test_blocks_of_users_change_nothing(split):
    whole = evaluate(Table(SCORES), split, k=(1, 2), seed=1)
    single = evaluate(Table(SCORES), split, k=(1, 2), seed=1, batch=1)
    assert whole.intervals == single.intervals
    for label in whole.metrics:
        np.testing.assert_equal(whole.metrics[label], single.metrics[label])


def test_seen_items_cannot_matter(split):
    changed = np.array(SCORES, np.float32)
    changed[0, :2] = -100
    changed[1, [0, 3]] = 1e30
    before = evaluate(Table(SCORES), split, k=(1, 2), bootstrap=0)
    after = evaluate(Table(changed), split, k=(1, 2), bootstrap=0)
    np.testing.assert_equal(before.metrics, after.metrics)


def test_a_constant_score_gets_what_chance_gets(split):
    # Three candidates each: Recall@1 is 1/3 for every target; cold has two: 1/2.
    report = evaluate(Table(np.full((2, 5), 7.0)), split, k=1, bootstrap=0)
    assert report.metrics["total"]["recall@1"] == pytest.approx(1 / 3)
    assert report.metrics["cold"]["recall@1"] == pytest.approx(1 / 2)


def test_the_models_own_scores_are_left_alone(split):
    model = Table(SCORES)
    model.scorer = lambda train: lambda users: model.scores
    before = model.scores.copy()
    evaluate(model, split, bootstrap=0)
    np.testing.assert_array_equal(model.scores, before)


def test_intervals_hold_the_mean_and_repeat_with_the_seed(split):
    report = evaluate(Table(SCORES), split, k=2, seed=5)
    low, high = report.intervals["total"]["ndcg@2"]
    assert low <= report.metrics["total"]["ndcg@2"] <= high
    assert report.intervals == evaluate(Table(SCORES), split, k=2, seed=5).intervals
    assert evaluate(Table(SCORES), split, bootstrap=0).intervals["total"] == {}


def test_only_the_total_on_request(split):
    assert list(evaluate(Table(SCORES), split, slices=False).metrics) == ["total"]


def test_names(split):
    assert evaluate(Popularity().fit(split.train), split).name == "popularity"
    assert evaluate(Table(SCORES), split, name="mine").name == "mine"


def test_a_block_of_scores_is_bounded(split, monkeypatch):
    widths = []
    model = Table(SCORES)
    model.scorer = lambda train: lambda users: (widths.append(len(users)), model.scores[users])[1]
    monkeypatch.setattr(protocol, "_BLOCK_SCORES", 5)
    evaluate(model, split, bootstrap=0)
    assert widths == [1, 1]


def test_memory_stays_near_the_block(temporal):
    # 300 users x 20,000 items are 24 MB of float32; a block of 8 users is .64 MB.
    n_items, n_users = 20_000, 300
    train = [(f"u{i}", str(i)) for i in range(n_users)]
    test = [(f"u{i}", str(i + 1)) for i in range(n_users)]
    split = temporal(train, test, items=[str(i) for i in range(n_items)])
    row = np.random.default_rng(0).random(n_items).astype(np.float32)
    model = Table(row)
    model.scorer = lambda train: lambda users: np.broadcast_to(row, (len(users), n_items))
    tracemalloc.start()
    evaluate(model, split, bootstrap=0, batch=8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def changed(position, value):
    scores = np.array(SCORES, np.float32)
    scores[position] = value
    return scores


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (Table(changed((0, 0), np.nan)), {}, "finite.*nan for user row 0, item row 0"),
        (Table(changed((1, 2), -np.inf)), {}, "finite.*-inf for user row 1, item row 2"),
        (Table(np.array(SCORES)[:, :4]), {}, r"scores must be \[users, items\] = \(2, 5\)"),
        (object(), {}, "scorer.*Received: object"),
        (Table(SCORES), {"k": ()}, "k must be"),
        (Table(SCORES), {"k": (0, 10)}, "k must be"),
        (Table(SCORES), {"k": (10, 10)}, "k must be"),
        (Table(SCORES), {"k": 2.5}, "k must be"),
        (Table(SCORES), {"k": "10"}, "k must be"),
        (Table(SCORES), {"bootstrap": -1}, "bootstrap"),
        (Table(SCORES), {"batch": 0}, "batch"),
        (Table(SCORES), {"users": 0}, "users must be .* Received: 0"),
        (Table(SCORES), {"users": "all"}, "users must be .* Received: 'all'"),
    ],
)
def test_bad_input(split, model, options, words):
    with pytest.raises(InputError, match=words) as error:
        evaluate(model, split, **options)
    assert "\n" not in str(error.value)


def test_of_more_users_a_sample_is_evaluated_and_told(split):
    whole = evaluate(Table(SCORES), split, bootstrap=0)
    assert whole.sampled_from is None
    assert evaluate(Table(SCORES), split, bootstrap=0, users=2).sampled_from is None
    seen = set()
    for seed in range(8):
        one = evaluate(Table(SCORES), split, bootstrap=0, users=1, seed=seed)
        assert one.sampled_from == one.to_dict()["sampled_from"] == 2
        assert "A random sample of 1 of 2 users" in str(one)
        # The one user has the same metrics as among all of them, whichever path ranks the items.
        place = int(np.flatnonzero(whole.users == one.users[0])[0])
        same = evaluate(Vectors(SCORES), split, bootstrap=0, users=1, seed=seed)
        for metric, values in one.per_user.items():
            np.testing.assert_allclose(values, whole.per_user[metric][[place]])
            np.testing.assert_allclose(same.per_user[metric], values)
        seen.add(place)
    assert seen == {0, 1}


def test_scores_for_all_users_alike_are_ranked_as_a_table_of_them(split):
    model = Popularity().fit(split.train)
    scores = model.scorer(State.of(split.train))(np.arange(2))
    fast = evaluate(model, split, k=(1, 2), bootstrap=0)
    slow = evaluate(Table(scores), split, k=(1, 2), bootstrap=0)
    for label, metrics in slow.metrics.items():
        assert fast.metrics[label] == pytest.approx(metrics, nan_ok=True)


def test_nobody_to_evaluate(temporal):
    split = temporal([("u", "a"), ("v", "b")], [("w", "a")])
    with pytest.raises(InputError, match="no evaluated user"):
        evaluate(Table(SCORES), split)


def test_a_target_among_the_training_items_is_refused(split):
    class Leaky:
        train, kind = split.train, "random"

        def targets(self):
            users, targets = split.targets()
            targets.items[:] = 0
            return users, targets

    with pytest.raises(InputError, match="among the user's training items"):
        evaluate(Table(SCORES), Leaky())


class Last:
    """Scores the neighbours of the last item of the history: its row plus 1 the best."""

    def scorer(self, state):
        def scores(users):
            found = np.zeros((len(users), 5), np.float32)
            for row, user in enumerate(users):
                items = state.histories.of(user)
                if len(items):
                    found[row, (items[-1] + 1) % 5] = 1 + len(items)
            return found

        return scores


def test_histories_are_cut_and_training_items_stay_no_candidates(temporal):
    """u took a, b, then c; v took a, d, then e. The last items b and d name both targets.

    Without histories the three candidates tie, so the target is at rank 1, 2 or 3 with equal
    probability: (1 + 1/log2(3) + 1/2) / 3.
    """
    split = temporal([("u", "a"), ("v", "a"), ("u", "b"), ("v", "d")], [("u", "c"), ("v", "e")])
    for history in (None, 1, 5):
        report = evaluate(Last(), split, bootstrap=0, history=history)
        assert report.metrics["total"]["ndcg@10"] == 1
    report = evaluate(Last(), split, bootstrap=0, history=0)
    expected = (1 + 1 / np.log2(3) + 0.5) / 3
    assert report.metrics["total"]["ndcg@10"] == pytest.approx(expected)
    for wrong in (-1, 1.5, "x", True):
        with pytest.raises(InputError, match="history must be a whole number of 0 or more items"):
            evaluate(Last(), split, history=wrong)


@pytest.mark.parametrize("vectors", [False, True])
def test_training_items_may_be_candidates(split, vectors):
    model = Vectors(SCORES) if vectors else Table(SCORES)
    report = evaluate(model, split, k=3, bootstrap=0, mask_history=False)
    # u: a 9, b 8, c 5, d 4, e 1: targets d, e at ranks 4 and 5. v: a 9, d 8, b 3, then c or e.
    np.testing.assert_allclose(report.per_user["recall@3"], [0, 0])
    report = evaluate(model, split, k=4, bootstrap=0, mask_history=False)
    np.testing.assert_allclose(report.per_user["mrr@4"], [1 / 4, 1 / 4 / 2])
    assert report.split == "temporal, history not masked"
    masked = evaluate(model, split, k=4, bootstrap=0, mask_history=True)
    assert masked.metrics["total"] == evaluate(model, split, k=4, bootstrap=0).metrics["total"]
    assert masked.split == "temporal"


def test_repeated_targets_cannot_be_masked(temporal):
    train = temporal([("u", "a")], [("u", "b")])
    both = type(train)(
        *(part.with_repeats("all") for part in (train.train, train.test)), "temporal"
    )
    with pytest.raises(InputError, match=r"mask_history=True with repeats='all'"):
        evaluate(Table([[1, 2, 3, 4, 5]]), both, mask_history=True)


@pytest.mark.parametrize(("model", "blocks"), [(Table(SCORES), [1, 1]), (Vectors(SCORES), [2])])
def test_each_block_of_users_is_told(split, monkeypatch, model, blocks):
    """A scorer that takes one user at once has a block for each."""
    told, asked = [], []

    class Progress(protocol.WorkProgress):
        def advance(self, count=1, state="", share=None):
            told.append(count)

    def scorer(state):
        scores = type(model).scorer(model, state)

        def counted(users):
            asked.append(len(users))
            return scores(users)

        counted.most_users = 1
        vars(counted).update(vars(scores))
        return counted

    monkeypatch.setattr(protocol, "WorkProgress", Progress)
    plain = evaluate(model, split, bootstrap=0)
    told.clear()
    one = type(model)(SCORES)
    one.scorer = scorer
    found = evaluate(one, split, bootstrap=0, progress=False)
    assert told == blocks and max(asked, default=2) == blocks[0]
    np.testing.assert_equal(found.metrics, plain.metrics)
