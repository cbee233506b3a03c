"""Stacks of fitted models: inputs by hand, learning, saving, leaks, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fixed_scores import Fixed

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.features import State
from tfrec_fusion.models import Model
from tfrec_fusion.models.classic import EASE, Popularity
from tfrec_fusion.pipelines import Blend, Stack, StackConfig
from tfrec_fusion.pipelines.stack_head import stack_head
from tfrec_fusion.pipelines.stack_inputs import StackInputs
from tfrec_fusion.training import choose_stack
from tfrec_fusion.training.held_out_parts import held_out_parts
from tfrec_fusion.training.stack_folds import fit_head

TRAIN = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "c"), ("w", "b")]
TEST = [("u", "c"), ("v", "e")]
ITEMS = "abcdefghijklmnopqrst"
USERS = np.array([0, 1, 2, -1], np.int32)


@pytest.fixture
def split(temporal):
    """Users u, v and w, items a to e, of which d and e are cold."""
    return temporal(TRAIN, TEST)


def test_inputs_by_hand(split):
    members = {"one": Fixed(5, 4, 3, 2, 1).fit(split.train)}
    members["other"] = Fixed(0, 0, 1, 1, 4).fit(split.train)
    config = StackConfig(candidates=2, members={key: {} for key in members})
    state = State.of(split.train)
    found = StackInputs(config, members, (), state)(USERS)
    # u had a and b: of c, d, e one says 1, 2, 3, and other 2.5, 2.5, 1.
    sums = [1 / 11 + 1 / 12.5, 1 / 12 + 1 / 12.5, 1 / 13 + 1 / 11]
    np.testing.assert_allclose(found.sums[0, 2:5], sums, rtol=1e-6)
    assert found.rows[0].numpy().tolist() == [2, 4]
    spread, apart = np.sqrt(2 / 3), np.sqrt(2)  # of 3, 2, 1 and of 1, 1, 4
    c = [1 / spread, 0, 10 / 11, -1 / apart, np.log(2.5), 10 / 12.5, 10 * sums[0]]
    e = [-1 / spread, np.log(3), 10 / 13, 2 / apart, 0, 10 / 11, 10 * sums[2]]
    np.testing.assert_allclose(found.inputs[0, :, :7], [c, e], rtol=1e-5, atol=1e-6)
    # The last event of u was one second before the state, as that of `State.of` is.
    times = split.train.histories().take(USERS[:1]).times
    age = (state.time - times[-1]) / 86400
    np.testing.assert_allclose(found.inputs[0, 0, 7:9], [np.log(3), np.log1p(age)], rtol=1e-5)
    # An unknown user has no event.
    np.testing.assert_allclose(found.inputs[3, 0, 7:9], [0, np.log1p(3650)], rtol=1e-5)
    unseen = found.inputs[0, :, 9 + 11].numpy()
    assert unseen.tolist() == [0, 1]


def _stack(train, **options):
    members = {"ease": EASE(l2=1.0).fit(train), "popular": Popularity().fit(train)}
    tf.random.set_seed(1)
    options = {"candidates": 2, "hidden": (4,), **options}
    config = StackConfig(**options, members={key: {} for key in members})
    width = StackInputs(config, members, (), State.of(train)).graph.width(2)
    return Stack(
        members, stack_head(width, config.hidden, config.dropout, config.networks), **options
    )


def test_an_unknown_item_moves_no_other_in_the_graph(split):
    """It scores 0 in the scorer, above all items of members whose scores are negative."""
    members = {"one": Fixed(-5, -4, -3, -2, -1).fit(split.train)}
    members["other"] = Fixed(-2, -1, -4, -3, -5).fit(split.train)
    config = StackConfig(candidates=2, members={"one": {}, "other": {}})
    state = State.of(split.train)
    width = StackInputs(config, members, (), state).graph.width(2)
    stack = Stack(members, stack_head(width, (4,), 0.0, 1), candidates=2, hidden=(4,), dropout=0.0)
    scores, serving = stack.scorer(state)(USERS), stack.serving(state)
    items, positions, ages = map(tf.constant, state.flat_histories(USERS))
    queries = serving.users(tf.constant(USERS), items, positions, ages)
    np.testing.assert_allclose(serving.all_scores(queries), scores, atol=1e-5)
    # Of the unknown user all are candidates, with the ranks 5, 4, 3, 2, 1 and 2, 1, 4, 3, 5: the
    # best are b and d or e; a is 1 below the lower logit, less its distance to the best sum.
    sums = [1 / 15 + 1 / 12, 1 / 14 + 1 / 11, 1 / 13 + 1 / 14, 1 / 12 + 1 / 13, 1 / 11 + 1 / 15]
    best = np.argsort(sums)[-2:]
    lowest = scores[3, best].min() - 1
    np.testing.assert_allclose(scores[3, 0], lowest + sums[0] - max(sums), rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"cold": "ease"}, {"candidates": 200}])
def test_the_graph_scores_as_the_scorer_does_and_so_does_a_saved_stack(split, options, tmp_path):
    stack, state = _stack(split.train, **options), State.of(split.train)
    assert isinstance(stack, Model)
    expected = stack.scorer(state)(USERS)
    stack.save(tmp_path / "stack")
    loaded = Stack.load(tmp_path / "stack")
    assert (loaded.config, loaded.spec) == (stack.config, stack.spec)
    np.testing.assert_array_equal(loaded.scorer(state)(USERS), expected)
    serving = loaded.serving(state)
    items, positions, ages = map(tf.constant, state.flat_histories(USERS))
    queries = serving.users(tf.constant(USERS), items, positions, ages)
    np.testing.assert_allclose(serving.all_scores(queries), expected, atol=1e-5)


def test_other_items_follow_the_candidates_in_the_order_of_the_sums(split):
    stack, state = _stack(split.train), State.of(split.train)
    scores = stack.scorer(state)(USERS)
    found = stack._inputs(state)(USERS)
    for row, candidates in enumerate(found.rows.numpy()):
        others = np.setdiff1d(np.arange(5), candidates)
        assert scores[row, others].max() < scores[row, candidates].min()
        np.testing.assert_array_equal(
            np.argsort(-scores[row, others], kind="stable"),
            np.argsort(-found.sums.numpy()[row, others], kind="stable"),
        )


def _taste(temporal):
    """40 users take 12 of 20 items each, the later ones of the alphabet more often and earlier."""
    random, rows = np.random.default_rng(0), []
    for user in range(40):
        liked = random.choice(20, 12, replace=False, p=np.arange(1, 21) / 210)
        rows += [(place, f"u{user}", ITEMS[item]) for place, item in enumerate(liked)]
    rows = [(user, item) for _, user, item in sorted(rows)]
    return temporal(rows[:400], rows[400:], items=ITEMS)


@pytest.mark.slow
def test_a_stack_learns_whom_to_trust_from_earlier_periods(temporal):
    split, letters = _taste(temporal), np.arange(20.0)
    factories = {
        "good": lambda train: Fixed(*letters).fit(train),
        "bad": lambda train: Fixed(*-letters).fit(train),
    }
    made = []

    def blend(members):
        made.append(Blend(members))
        return made[-1]

    options = {"folds": 4, "epochs": 30, "candidates": 20, "networks": 1}
    choice = choose_stack(factories, split, rivals={"even": blend}, **options)
    assert [*choice.table["model"]] == ["good", "bad", "even", "stack"]
    # A blend of a member that is always wrong is no better than the other one alone.
    assert len(made) == 2 and choice.table["ndcg@10"][2] < choice.table["ndcg@10"][0]
    rival = replace(choice, best="even", better=False).fit(split.train)
    assert rival is made[-1] and len(made) == 3
    assert choice.best == "good"
    _check_measured(choice, factories, split)
    head = fit_head(choice.folds, choice.config, **choice.head_options)
    members = {name: factory(split.train) for name, factory in factories.items()}
    stack = Stack(members, head, candidates=20)
    found, good, even = (
        evaluate(one, split, bootstrap=0).metrics["total"]["ndcg@10"]
        for one in (stack, members["good"], Blend(members))
    )
    assert found > even + 0.05
    assert found > good - 0.03


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "head.keras").unlink(), "damaged"),
        (lambda folder: (folder / "head.keras").write_bytes(b"PK"), "damaged"),
        (lambda folder: _edit(folder, lambda saved: saved.pop("members")), "damaged: KeyError"),
        (lambda folder: _edit(folder, lambda saved: saved["members"]["ease"].pop("class")), "dam"),
        (lambda folder: _edit(folder, lambda saved: saved.update(format=2)), "another format, 2"),
        (
            lambda folder: (folder / "members" / "ease" / "arrays.npz").write_bytes(b"PK"),
            "damaged",
        ),
    ],
)
def test_a_damaged_folder_is_told(split, tmp_path, damage, says):
    _stack(split.train).save(tmp_path / "stack")
    damage(tmp_path / "stack")
    with pytest.raises(InputError, match=f"Stack: the folder is .*{says}.*Received: .*stack"):
        Stack.load(tmp_path / "stack")


def _edit(folder, change):
    saved = json.loads((folder / "stack.json").read_text())
    change(saved)
    (folder / "stack.json").write_text(json.dumps(saved))


def test_a_head_is_checked(split):
    stack = _stack(split.train)
    for head in (None, "head", tf.keras.Sequential()):
        with pytest.raises(InputError, match=r"Stack: head must be a built Keras model"):
            Stack(stack.members, head, candidates=2)
    fewer = Stack({"ease": stack.members["ease"]}, stack.head, candidates=2)
    with pytest.raises(InputError, match="the head was trained on other members"):
        fewer.scorer(State.of(split.train))


def test_scores_and_user_rows_are_checked(split):
    stack, state = _stack(split.train), State.of(split.train)
    with pytest.raises(InputError, match=r"Stack: users must be .* Received: 1 others, first 3"):
        stack.scorer(state)(np.array([0, 3]))
    ease = stack.members["ease"]
    ease.scorer = lambda state: lambda users: np.full((len(users), 5), "good")
    with pytest.raises(InputError, match=r"Stack: the member 'ease' must .* Received: <U4"):
        stack.scorer(state)(USERS)


def _check_measured(choice, factories, split):
    """The two latest folds are measured, each by a head of the folds before it."""
    options = choice.config.model_dump(exclude={"members"})
    stacks, goods = [], []
    for place, part in enumerate(held_out_parts(split, 2, seed=0)):
        members = {name: factory(part.train) for name, factory in factories.items()}
        head = fit_head(choice.folds[place + 1 :], choice.config, **choice.head_options)
        stack = Stack(members, head, **options)
        for found, model in ((stacks, stack), (goods, members["good"])):
            found.append(evaluate(model, part, bootstrap=0).per_user["ndcg@10"])
    means = choice.table.set_index("model")["ndcg@10"]
    stack, good = np.concatenate(stacks).mean(), np.concatenate(goods).mean()
    np.testing.assert_allclose([means["stack"], means["good"]], [stack, good], rtol=1e-6)
    row = choice.table.iloc[-1]
    np.testing.assert_allclose(row["difference"], stack - good, atol=1e-6)
    assert row["low"] <= row["difference"] <= row["high"]
    assert choice.better == (row["low"] > 0)
    np.testing.assert_allclose(choice.report.per_user["ndcg@10"], stacks[0])


def test_a_member_that_knows_later_events_is_refused(temporal):
    split, trained = _taste(temporal), []
    leaking = EASE().fit(split.train)
    with pytest.raises(InputError, match=r"choose_stack: the factory of 'leaking' returns a model"):
        choose_stack({"leaking": lambda train: leaking}, split, folds=2, epochs=1)

    def late(train):  # gives for each fold the model of the latest one
        trained.append(EASE().fit(train))
        return trained[0]

    with pytest.raises(InputError, match=r"the factory of 'late' returns a model of other"):
        choose_stack({"late": late}, split, folds=3, epochs=1)


@pytest.mark.parametrize("kind", ["temporal", "leave_one_out", "random", "given", "none"])
def test_no_fold_knows_what_a_later_one_holds_out(make_events, kind):
    random, rows = np.random.default_rng(0), []
    for place in range(14):
        rows += [(f"u{user}", ITEMS[(user + 7 * place) % 20], place) for user in range(30)]
    columns = {"split": random.choice(["train", "valid", "test"], len(rows), p=[0.7, 0.15, 0.15])}
    events = make_events(rows, ITEMS, **(columns if kind == "given" else {}))
    held_out = set()
    for part in held_out_parts(events.split(kind), 3, seed=0):
        assert _pairs(part.test) and not held_out & (_pairs(part.train) | _pairs(part.test))
        held_out |= _pairs(part.test)


def _pairs(events):
    users, known = events.users.ids, events.user >= 0
    return set(zip(users[events.user[known]], events.item[known].tolist(), strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "folds must be a whole number of 2 or more"),
        ({"candidates": 0}, "candidates"),
        ({"cold": "nobody"}, "cold must name a member"),
        ({"epochs": 0}, "epochs must be a whole number of 1 or more"),
        ({"seed": -1}, "seed must be a whole number of 0 or more.* Received: -1"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0.* Received: 0"),
        ({"learning_rate": "x"}, "learning_rate must be a number above 0.* Received: 'x'"),
        ({"folds": 30}, "fold [0-9]+ of 30 cannot be made: .*; pass fewer folds"),
        ({"bootstrap": 1}, "bootstrap must be a whole number of 2 or more.* Received: 1"),
        ({"networks": 0}, "networks"),
        ({"members": {"stack": None}}, "'stack' is that of the stack itself"),
        ({"rivals": {"ease": None}}, "must have different names.* Received: ease, ease"),
        ({"members": {"score": None}}, "factories: a name must begin with a letter"),
    ],
)
def test_options_are_checked_before_anything_is_trained(temporal, options, message):
    def train(_):
        raise AssertionError("trained")

    names = options.pop("members", {"ease": None})
    options = {"folds": 2, "epochs": 1} | options
    with pytest.raises(InputError, match=message):
        choose_stack(dict.fromkeys(names, train), _taste(temporal), **options)
