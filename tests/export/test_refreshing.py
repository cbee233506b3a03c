import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export, refresh
from tfrec_fusion.export.versions import versions
from tfrec_fusion.features import State
from tfrec_fusion.training import Run, RunConfig


def _table(events):
    return pd.DataFrame(
        {
            "user_id": events.users.ids[events.user],
            "item_id": events.catalogue.vocabulary.ids[events.item],
            "timestamp": events.timestamp,
        }
    )


@pytest.fixture(scope="module")
def newer(events):
    """The shop's events, and 40 purchases of item 3 by new users in the ten days after them."""
    table = _table(events)
    end = table["timestamp"].max()
    more = pd.DataFrame(
        {
            "user_id": [f"new {u}" for u in range(40)],
            "item_id": events.catalogue.vocabulary.ids[3],
            "timestamp": end + np.arange(1, 41) * 21_600.0,
        }
    )
    return Interactions.from_frame(pd.concat([table, more]), events.catalogue)


@pytest.fixture(scope="module")
def exported_once(make_model, events, tmp_path_factory):
    """A model and a folder with its first version."""
    model, base = make_model(events), tmp_path_factory.mktemp("first") / "shop"
    export(model, events, base, deployment=False)
    return model, base


@pytest.fixture
def first(exported_once, tmp_path):
    """The model, and a copy of its first version in a folder of its own."""
    model, base = exported_once
    shutil.copytree(base, tmp_path / "shop")
    return model, tmp_path / "shop" / "1"


def _scores(version, users, items):
    served = tf.saved_model.load(str(version))
    return served.signatures["score"](
        user_id=tf.constant(users), item_id=tf.constant(np.tile(items, (len(users), 1)))
    )["score"].numpy()


@pytest.mark.slow
def test_a_refreshed_version_answers_as_the_model_on_the_newer_events(
    tmp_path, first, events, newer
):
    model, first = first
    second = refresh(model, newer, tmp_path / "shop", deployment=False)
    assert second == tmp_path / "shop" / "2"
    items = events.catalogue.vocabulary.ids
    users = newer.users.ids
    scores = _scores(second, users, items)
    known = newer.first_events()
    expected = model.scorer(State.of(known))(np.arange(len(users), dtype=np.int32))
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-5)
    old, new = (Recommender(version).card["data"] for version in (first, second))
    # 300 events, some of them repeated, and 40 more over ten days.
    assert new["events"] == len(events.first_events()) + 40
    assert pd.Timestamp(new["as_of"]) - pd.Timestamp(old["as_of"]) == pd.Timedelta(days=10)
    # The new users' own purchase never comes back.
    assert items[3] not in {item for item, _ in Recommender(second).recommend("new 7", k=40)}


@pytest.mark.slow
def test_a_model_of_user_ids_takes_new_users_for_the_trend_only(
    tmp_path, model, events, newer, caplog
):
    first = export(model, events, tmp_path / "shop", deployment=False)
    with caplog.at_level(logging.WARNING):
        second = refresh(model, newer, tmp_path / "shop", deployment=False)
    assert "40 users are new to the model" in caplog.text
    users, items = "assets/users.txt", events.catalogue.vocabulary.ids
    assert (second / users).read_bytes() == (first / users).read_bytes()
    known = newer.first_events().encode_users(events.users)
    expected = model.scorer(State.of(known))(np.arange(5, dtype=np.int32))
    scores = _scores(second, events.users.ids[:5], items)
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-5)


def test_the_new_events_alone_are_refused_and_fewer_are_told(
    tmp_path, first, events, newer, caplog
):
    model, _ = first
    added = newer.timestamp > events.timestamp.max()
    with pytest.raises(InputError, match=r"must be all events.* Received: 40 events from"):
        refresh(model, newer.select(added), tmp_path / "shop", deployment=False)
    assert [folder.name for folder in (tmp_path / "shop").iterdir()] == ["1"]
    half = events.timestamp > np.median(events.timestamp)
    with caplog.at_level(logging.WARNING):
        refresh(model, events.select(half), tmp_path / "shop", deployment=False)
    known = len(events.first_events())
    assert f"are fewer than the {known} of the latest version" in caplog.text


def _at_other_times(events, change, **options):
    table = _table(events)
    table["timestamp"] = change(table["timestamp"])
    return Interactions.from_frame(table, events.catalogue, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "year", "refused"),
    [
        (lambda seconds: seconds / 86_400, "1970", "days: multiply by 86400"),
        # 80 years later.
        (lambda seconds: seconds + 80 * 365.25 * 86_400, "2101", "must be unix seconds from 1990"),
    ],
)
def test_a_wrong_time_is_refused_and_one_that_was_served_does_not_stay(
    tmp_path, make_model, events, newer, change, year, refused
):
    wrong = _at_other_times(events, change, stray_times="keep")
    model, base = make_model(events), tmp_path / "shop"
    for write in (export, refresh):
        with pytest.raises(InputError, match=f"the last event.*{refused}"):
            write(model, wrong, base, deployment=False)
    assert not base.exists()
    first = export(model, wrong, base, deployment=False, any_time=True)
    assert Recommender(first).card["data"]["as_of"][:4] == year
    with pytest.raises(InputError, match=rf"{year}-.*any_time=True \(--any-time\)"):
        refresh(model, newer, base, deployment=False)
    assert set(versions(base)) == {1}
    recovered = refresh(model, newer, base, deployment=False, any_time=True)
    # And from then on as ever.
    after = refresh(model, newer, base, deployment=False)
    assert [path.name for path in (recovered, after)] == ["2", "3"]
    assert Recommender(after).card["data"]["as_of"].startswith("2021")


def test_a_version_does_not_go_back_in_time(tmp_path, make_model, events, newer):
    model, base = make_model(events), tmp_path / "shop"
    export(model, newer, base, deployment=False)
    early = "must not be as of an earlier time than the latest one"
    with pytest.raises(InputError, match=early):
        refresh(model, events, base, deployment=False)
    with pytest.raises(InputError, match=early):
        refresh(model, newer, base, deployment=False, at=float(np.median(events.timestamp)))
    assert set(versions(base)) == {1}


def test_a_model_of_user_ids_needs_its_users(tmp_path, model, newer):
    with pytest.raises(InputError, match="its users are in no version below the folder"):
        refresh(model, newer, tmp_path / "shop", deployment=False)
    assert not (tmp_path / "shop").exists()


def test_without_a_trend_or_times(tmp_path, make_shop_events, make_model, events):
    with pytest.raises(InputError, match="the model has no trend to refresh"):
        refresh(make_model(events, trend=False), events, tmp_path / "shop")
    with pytest.raises(InputError, match="the interactions have no column 'timestamp'"):
        refresh(make_model(events), make_shop_events(times=False), tmp_path / "shop")
    assert not (tmp_path / "shop").exists()


@pytest.mark.slow
def test_a_ranker(tmp_path, golden, ranker):
    model, events, version = ranker("all")
    with pytest.raises(InputError, match="its users are in no version"):
        refresh(model, events.encode_users(type(events.users)(["a"])), tmp_path / "shop")
    again = refresh(model, events, version.parent)
    for name, inputs, _ in golden.ranker_requests(model, events)[:3]:
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        before, after = (tf.saved_model.load(str(v)).signatures[name] for v in (version, again))
        np.testing.assert_allclose(before(**tensors)["score"], after(**tensors)["score"], atol=1e-5)


@pytest.mark.slow
def test_two_writers_at_once_get_two_numbers(tmp_path, first, events, newer):
    model, _ = first
    with ThreadPoolExecutor(2) as pool:
        tasks = [
            pool.submit(export, model, events, tmp_path / "shop", deployment=False),
            pool.submit(refresh, model, newer, tmp_path / "shop", deployment=False),
        ]
        written = {task.result() for task in tasks}
    assert len(written) == 2
    assert set(versions(tmp_path / "shop")) == {1, 2, 3}
    for version in written:
        assert len(Recommender(version).recommend(events.users.ids[0], k=5)) == 5


@pytest.mark.slow
def test_a_run_reads_newer_events_without_what_it_was_trained_on(tmp_path, small_shop):
    table = pd.read_parquet(small_shop / "interactions.parquet")
    old = table[table["timestamp"] < 1.7e9 + 100 * 86_400]
    names = {"interactions": tmp_path / "old.parquet", "items": tmp_path / "items.parquet"}
    old.to_parquet(names["interactions"])
    names["items"].write_bytes((small_shop / "items.parquet").read_bytes())
    text = tmp_path / "text.npy"
    text.write_bytes((small_shop / "text.npy").read_bytes())
    data = {name: str(path) for name, path in names.items()} | {"vectors": {"text": str(text)}}
    config = {"data": data, "model": {"dim": 8, "trend_hidden": 4}, "epochs": 0}
    run = Run.start(tmp_path / "run", RunConfig.of(config))
    run.train()
    export(run.model(), run.split.train, tmp_path / "shop", deployment=False)
    names["interactions"].unlink()
    text.unlink()

    run = Run.open(tmp_path / "run")
    newer = run.events(small_shop / "interactions.parquet")
    version = refresh(run.model(), newer, tmp_path / "shop", deployment=False)
    card = json.loads((version / "model_card.json").read_text())
    assert card["data"]["events"] == len(table.drop_duplicates(["user_id", "item_id"]))

    strange = table.head(3).assign(item_id=["i1", "other", "i2"])
    strange.to_parquet(tmp_path / "strange.parquet")
    with pytest.raises(InputError, match="1 events of items that are not in the catalogue"):
        run.events(tmp_path / "strange.parquet")
