"""What a blend is chosen for: members that know different things, and nothing within noise."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.models.classic import ClassicModel, ItemItem, Popularity
from tfrec_fusion.pipelines import Blend
from tfrec_fusion.training import blend_fold, choose_blend
from tfrec_fusion.training.held_out_parts import held_out_parts, validation_part

N_USERS, N_ITEMS = 300, 24


def _split(steps, early=()):
    """A temporal split of users who take the item `steps[n](user)` in the n-th period."""
    rng, rows = np.random.default_rng(0), [("before", item, 0.0) for item in early]
    for user in range(N_USERS):
        days = rng.uniform(0, 1, len(steps)) + 10 * np.arange(len(steps))
        rows += [(f"u{user}", step(user), day) for step, day in zip(steps, days, strict=True)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame["item_id"] = "i" + frame["item_id"].astype(str)
    frame["timestamp"] = 1.6e9 + 86_400 * frame["timestamp"]
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(N_ITEMS)]})
    events = Interactions.from_frame(frame, Catalogue(items))
    return events.split("temporal", test=1 / len(steps))


@pytest.fixture(scope="module")
def split():
    """Even users go from item 0 to 2, 4 and 6, odd ones from item 1 to 3, 5 and 7."""
    return _split([lambda user, step=step: 2 * step + user % 2 for step in range(4)])


class Knows(ClassicModel):
    """Knows the next item after some items, and nothing of the others; without pairs, noise."""

    def __init__(self, *pairs):
        super().__init__()
        self._pairs = pairs

    def fitted(self, train):
        weights = np.zeros((N_ITEMS, N_ITEMS))
        if not self._pairs:
            weights = np.random.default_rng(0).uniform(size=weights.shape)
        for item, other in self._pairs:
            weights[item, other] = 1.0
        return ItemItem(weights)


EVEN = [(0, 2), (2, 4), (4, 6)]
ODD = [(1, 3), (3, 5), (5, 7)]
FACTORIES = {
    "odd": lambda train: Knows(*ODD).fit(train),
    "even": lambda train: Knows(*EVEN).fit(train),
    "noise": lambda train: Knows().fit(train),
}


def test_members_that_know_different_things_are_blended(split):
    choice = choose_blend(FACTORIES, split)
    assert set(choice.factories) == {"odd", "even"}
    assert set(choice.options["weights"]) == {"odd", "even"}
    assert choice.users == len(split.validation().targets()[0])
    model = choice.fit(split.train)
    assert isinstance(model, Blend) and model.spec.users == split.train.users.fingerprint
    found = evaluate(model, split).metrics["total"]["ndcg@10"]
    for factory in FACTORIES.values():
        assert found > evaluate(factory(split.train), split).metrics["total"]["ndcg@10"]
    table = choice.table
    assert table["blend"].tolist()[:3] == ["odd", "even", "noise"]
    # The single member, the blend of two, perhaps an order of unseen items; the noise is left.
    assert table["taken"].sum() == 2 + ("cold" in choice.options)
    step = table[table["blend"].str.contains(" of ") & table["taken"]].iloc[0]
    assert 0 < step["low"] < step["difference"] < step["high"]
    # Of one fold the resamples are those of the users, in the order of their rows.
    found = [step["difference"], step["low"], step["high"]]
    assert found == pytest.approx([0.3350226, 0.2556751, 0.4143701], abs=1e-7)
    # The figure in the table is that of the blend on the validation period.
    part, options = split.validation(), {**choice.options, "cold": None}
    again = Blend({n: FACTORIES[n](part.train) for n in choice.factories}, **options)
    assert evaluate(again, part).metrics["total"]["ndcg@10"] == pytest.approx(
        step["ndcg@10"], abs=1e-6
    )


def test_a_sample_of_the_users_is_measured(split, caplog):
    whole = choose_blend(FACTORIES, split)
    found = choose_blend(FACTORIES, split, users=whole.users - 5)
    assert found.users == whole.users - 5
    assert f"on {found.users} of {whole.users} users" in caplog.text
    assert choose_blend(FACTORIES, split, users=10**6).users == whole.users
    with pytest.raises(InputError, match=r"users must be .* 2 or more\. Received: 1"):
        choose_blend(FACTORIES, split, users=1)


def test_a_single_model_stays_within_noise(split):
    factories = {"one": FACTORIES["even"], "same": FACTORIES["even"]}
    choice = choose_blend(factories, split)
    assert [*choice.factories] == ["one"] and not choice.options
    assert isinstance(choice.fit(split.train), Knows)


def test_one_validation_user_is_no_evidence_for_a_blend(monkeypatch):
    monkeypatch.setitem(globals(), "N_USERS", 1)
    # Its validation items are 5 and 7, of which each member knows one.
    split = _split([lambda user, item=item: item for item in (0, 1, 5, 7, 2)])
    factories = {
        "five": lambda train: Knows((0, 5)).fit(train),
        "seven": lambda train: Knows((0, 7)).fit(train),
    }
    choice = choose_blend(factories, split, test=0.5)
    assert (choice.users, [*choice.factories], choice.options) == (1, ["five"], {})


def test_unseen_items_get_the_order_of_the_member_that_knows_them():
    # After items 2 and 3, some users take the known items 8 and 9, the others the new 4 and 5.
    def third(user):
        return (8 if user // 2 % 9 < 4 else 4) + user % 2

    steps = [lambda user: user % 2, lambda user: 2 + user % 2, third, lambda user: 6]
    split = _split(steps, early=[8, 9])
    factories = {
        "new": lambda train: Knows((2, 4), (3, 5)).fit(train),
        # It has a wrong idea of the new items after item 2.
        "known": lambda train: Knows((2, 8), (3, 9), (2, 5)).fit(train),
    }
    choice = choose_blend(factories, split, test=1 / 3)
    assert set(choice.options["weights"]) == {"new", "known"}
    assert choice.options["cold"] == "new"
    last = choice.table.iloc[-1]
    assert last["blend"] == "unseen items in the order of new" and last["taken"]
    part = split.validation(test=1 / 3)
    models = {name: factory(part.train) for name, factory in factories.items()}
    cold = evaluate(Blend(models, **choice.options), part).metrics["cold"]["ndcg@10"]
    assert last["cold ndcg@10"] == pytest.approx(cold, abs=1e-6) == pytest.approx(1.0, abs=0.01)


@pytest.fixture(scope="module")
def chance():
    """Even users take 5 of 9 even items, odd ones 5 of 9 odd items; 6 items have no event."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{2 * item + user % 2}")
        for user in range(60)
        for item in rng.choice(9, 5, replace=False)
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(N_ITEMS)]})
    return Interactions.from_frame(frame, Catalogue(items)).split("random")


def _of_one_taste(rest):
    taste = [item for item in range(18) if item % 2 == rest]
    pairs = [(item, other) for item in taste for other in taste if item != other]
    return lambda train: Knows(*pairs).fit(train)


TASTES = {"even": _of_one_taste(0), "odd": _of_one_taste(1)}


def test_folds_of_a_random_split_are_other_parts_of_the_same_events(chance):
    trained = {name: [] for name in TASTES}

    def recorded(name):
        return lambda train: trained[name].append(train) or TASTES[name](train)

    folds = 3
    choice = choose_blend({name: recorded(name) for name in TASTES}, chance, folds=folds)
    parts = [validation_part(chance, seed=seed) for seed in range(folds)]
    for events in trained.values():
        assert [one.users.fingerprint for one in events] == [
            part.train.users.fingerprint for part in parts
        ]
        assert [len(one) for one in events] == [len(part.train) for part in parts]
    reports = {
        name: [evaluate(factory(part.train), part, bootstrap=0) for part in parts]
        for name, factory in TASTES.items()
    }
    for row, name in zip(choice.table.itertuples(), TASTES, strict=False):
        values = np.concatenate([one.per_user["ndcg@10"] for one in reports[name]])
        assert row[2] == pytest.approx(values.mean())
    users = [part.train.users.ids[part.targets()[0]] for part in parts]
    assert choice.users == len(np.unique(np.concatenate(users)))
    # A blend has both tastes, and is measured for the users of the first fold.
    assert set(choice.options["weights"]) == set(TASTES)
    assert len(choice.apart) == len(users[0])
    options = {**choice.options, "cold": None}
    values = []
    for part in parts:
        blend = Blend({name: factory(part.train) for name, factory in TASTES.items()}, **options)
        values.append(evaluate(blend, part, bootstrap=0).per_user["ndcg@10"])
    row = choice.table.iloc[2]
    assert row["ndcg@10"] == pytest.approx(np.concatenate(values).mean()) and row["low"] > 0
    one = choose_blend(TASTES, chance)
    assert len(one.apart) == one.users == len(users[0])


def test_folds_of_other_splits_are_earlier_parts(split):
    trained = []

    def recorded(train):
        trained.append(train)
        return FACTORIES["odd"](train)

    choice = choose_blend({"odd": recorded, "even": FACTORIES["even"]}, split, folds=2)
    first, second = held_out_parts(split, 2, 0)
    assert [len(one) for one in trained] == [len(first.train), len(second.train)]
    assert len(second.train) + len(second.test) == len(first.train)
    ids = [part.train.users.ids[part.targets()[0]] for part in (first, second)]
    assert choice.users == len({*ids[0], *ids[1]})
    assert len(choice.apart) == len(ids[0])
    with pytest.raises(InputError, match=r"choose_blend: fold \d+ of 99 cannot be made: "):
        choose_blend(FACTORIES, split, folds=99)


def test_the_terms_of_all_folds_together_fit_into_memory(chance, monkeypatch):
    # 40 users, in 2 forms for 24 items and 6 unseen ones; each of 4 folds has a quarter.
    monkeypatch.setattr(blend_fold, "_MOST_BYTES", 40 * 4 * 2 * (2 * N_ITEMS + 6))
    choice = choose_blend(TASTES, chance, folds=4)
    assert len(choice.apart) == 10 and choice.users <= 40


def test_a_member_that_knows_the_validation_period_is_refused(split):
    leaking = Popularity().fit(split.train)
    with pytest.raises(InputError, match=r"'leak' must be a function .* Received: Popularity"):
        choose_blend({"leak": leaking}, split)
    # It has the same users and items as one of the validation's training events would have.
    assert leaking.spec.users == Popularity().fit(split.validation().train).spec.users
    with pytest.raises(InputError, match="'leak' returns a model of other training events"):
        choose_blend({"leak": lambda train: leaking}, split)


def _text(train):
    model = Popularity().fit(train)
    model.scorer = lambda state: lambda users: np.full((len(users), N_ITEMS), "good")
    return model


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"factories": {}}, "at least one"),
        ({"factories": {"x": "ease"}}, "'x' must be a function.* Received: str"),
        ({"factories": {"x": lambda train: None}}, "must return a trained model.* NoneType"),
        ({"factories": {"x": lambda train: Popularity()}}, "must return a trained model"),
        ({"forms": "rank"}, "forms must be a list"),
        ({"forms": ["stack"]}, r"forms must be a list of rank, .* Received: \['stack'\]"),
        ({"steps": 0}, "steps must be a whole number of 1 or more"),
        ({"steps": 2.5}, "steps must be a whole number of 1 or more.* Received: 2.5"),
        ({"folds": 0}, "folds must be a whole number of 1 or more.* Received: 0"),
        ({"bootstrap": 1}, "bootstrap must be a whole number of 2 or more.* Received: 1"),
        ({"factories": {"x": _text}}, "choose_blend: the member 'x' must score .* Received: <U4"),
        ({"split": None}, "split must be a Split.* NoneType"),
    ],
)
def test_wrong_arguments_are_named(split, arguments, says):
    given = {"factories": {"popular": Popularity().fit}, "split": split} | arguments
    with pytest.raises(InputError, match=says):
        choose_blend(given.pop("factories"), given.pop("split"), **given)
