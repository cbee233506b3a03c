import json

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.features import State


def test_a_version_has_all_its_files(exported, events):
    assert exported.name == "1"
    files = {str(p.relative_to(exported)) for p in exported.rglob("*") if p.is_file()}
    assert files >= {
        "saved_model.pb",
        "model_card.json",
        "assets/users.txt",
        "assets/items.txt",
        "assets.extra/items.parquet",
        "variables/variables.index",
    }
    titles = pd.read_parquet(exported / "assets.extra" / "items.parquet")
    assert titles["item_id"].tolist() == events.catalogue.vocabulary.ids.tolist()
    assert titles["title"].tolist() == events.catalogue.titles.tolist()
    assert [path.name for path in exported.parent.iterdir()] == ["1"]


def test_the_card_says_what_it_is(exported, model, events):
    card = json.loads((exported / "model_card.json").read_text(encoding="utf-8"))
    assert card["model_config"] == model.config.model_dump(mode="json")
    assert card["data_spec"]["items"] == events.catalogue.vocabulary.fingerprint
    assert card["data"]["sha256"] == events.first_events().fingerprint()
    assert card["metrics"] == {"cold": None}
    assert card["run_config"] == {"seed": 1}
    assert len(card["vectors"]["text"]["sha256"]) == 64
    assert card["packages"]["tensorflow"] == tf.__version__
    assert len(card["example_users"]) == 5
    assert (events.users.rows(card["example_users"]) >= 0).all()


def test_as_of_an_earlier_time_is_the_export_of_the_earlier_events(tmp_path, model, events):
    at = float(np.median(events.timestamp))
    version = export(model, events, tmp_path / "shop", at=at)
    earlier = events.select(events.timestamp < at)
    served = tf.saved_model.load(str(version))
    known = np.arange(len(events.users), dtype=np.int32)
    scores = served.signatures["score"](
        user_id=tf.constant(events.users.ids),
        item_id=tf.constant(np.tile(events.catalogue.vocabulary.ids, (len(known), 1))),
    )["score"]
    expected = model.scorer(State.of(earlier, at))(known)
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-5)
    assert Recommender(version).card["data"]["events"] == len(earlier.first_events())


@pytest.mark.slow
def test_a_later_time_makes_histories_older(tmp_path, model, events):
    at = float(events.timestamp.max()) + 30 * 86400
    version = export(model, events, tmp_path / "shop", at=at)
    user = events.users.ids[0]
    best = Recommender(version).recommend(user, k=1)[0]
    expected = model.scorer(State.of(events, at))(np.array([0], np.int32))[0]
    row = events.catalogue.vocabulary.rows([best[0]])[0]
    assert best[1] == pytest.approx(expected[row], abs=1e-5)


def _other_users(make_shop_events):
    events = make_shop_events()
    return events.encode_users(events.users.grow(["someone new"]))


def test_users_that_came_after_training_are_served_where_ids_are_not_read(
    tmp_path, events, make_shop_events, make_model
):
    later = _other_users(make_shop_events)
    later = later.encode_users(type(later.users)(["someone new", *events.users.ids[1:]]))
    recommender = Recommender(export(make_model(events), later, tmp_path / "shop"))
    assert len(recommender.recommend("someone new", k=3)) == 3
    regular = events.users.ids[1]
    seen = events.catalogue.vocabulary.ids[events.item[events.user == 1]]
    assert not set(seen) & {item for item, _ in recommender.recommend(regular, k=40)}


def _other_items(make_shop_events):
    events = make_shop_events()
    keep = events.catalogue.frame.iloc[::-1]
    frame = pd.DataFrame(
        {
            "user_id": events.users.ids[events.user],
            "item_id": events.catalogue.vocabulary.ids[events.item],
            "timestamp": events.timestamp,
        }
    )
    return type(events).from_frame(frame, type(events.catalogue)(keep))


@pytest.mark.parametrize(
    ("events_of", "options", "says"),
    [
        (_other_users, {}, "users: the model was built for other users"),
        (_other_items, {}, "items: the model was built for other items"),
        (None, {"at": float("nan")}, "at must be a finite unix time.*Received: nan"),
        (None, {"at": "2024-01-01"}, "at must be a finite unix time.*Received: '2024-01-01'"),
        (None, {"at": 1.7e12}, "at must be unix seconds from 1990.*milliseconds: divide by 1000"),
        (None, {"at": 19_675}, "at must be unix seconds from 1990.*days: multiply by 86400"),
        (None, {"at": 0}, "at must be unix seconds from 1990-01-01"),
        (None, {"at": -1.7e9}, "at must be unix seconds from 1990-01-01"),
        (None, {"at": True}, "at must be a finite unix time"),
        (None, {"at": 4.1e9}, r"at must be unix seconds.*any_time=True \(--any-time\).*4100000000"),
        (None, {"at": 1.5e9}, "at must be after the first event, 16"),
        (None, {"metrics": {"a": {"b": object()}}}, r"metrics\.a\.b must hold numbers"),
    ],
)
def test_bad_input_is_named_and_nothing_written(
    tmp_path, model, events, make_shop_events, events_of, options, says
):
    given = events if events_of is None else events_of(make_shop_events)
    with pytest.raises(InputError, match=says) as caught:
        export(model, given, tmp_path / "shop", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "shop").exists()


def test_at_needs_times(tmp_path, make_shop_events, make_model):
    events = make_shop_events(times=False)
    with pytest.raises(InputError, match="at needs events with a 'timestamp'"):
        export(make_model(events), events, tmp_path / "shop", at=1.6e9)


def test_a_path_that_is_a_file(tmp_path, model, events):
    (tmp_path / "shop").write_text("notes")
    with pytest.raises(InputError, match="path must be a folder"):
        export(model, events, tmp_path / "shop")
    assert (tmp_path / "shop").read_text() == "notes"


def test_a_number_with_other_files_in_it(tmp_path, model, events):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "notes").write_text("notes")
    with pytest.raises(InputError, match="is not a SavedModel, and TF Serving would take it"):
        export(model, events, tmp_path)


def test_a_diverged_model(tmp_path, events, make_model):
    model = make_model(events)
    model.bias.assign(np.full(model.bias.shape, np.nan))
    # An item that was never sold has no bias to spoil it.
    sold = len(np.unique(events.item))
    with pytest.raises(InputError, match=f"{sold} item vectors of the model are not finite"):
        export(model, events, tmp_path / "shop")
