import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.export.reference import Reference, psi
from tfrec_fusion.export.reference.reference import REFERENCE
from tfrec_fusion.monitoring import Limits, as_requests, compare, read_requests


def test_the_reference_is_small_and_says_what_was_trained_on(exported, events):
    assert (exported / REFERENCE).stat().st_size < 20_000
    assert json.loads((exported / REFERENCE).read_text())["known_users"] == 1
    reference = Reference.load(exported)
    lengths = events.histories().lengths
    assert reference.requests == (lengths > 0).sum()
    assert reference.history_length.mean == pytest.approx(lengths.mean())
    assert sum(reference.history_length.counts) == len(events.users)
    assert sum(reference.history_popularity) == lengths.sum()
    assert reference.history_popularity[10] == 0
    assert not reference.ranks
    assert reference.features == {}


def test_the_reference_has_the_scores_of_recommendations(exported, events, reference):
    found = Reference.load(exported)
    ids = events.users.ids[events.histories().lengths > 0]
    vectors, seen = reference.users(ids, [[]] * len(ids))
    best = [reference.best(v, s, k=10) for v, s in zip(vectors, seen, strict=True)]
    assert found.best_score.mean == pytest.approx(np.mean([s[0] for _, s in best]), abs=1e-5)
    full = np.concatenate([s for i, s in best if "" not in i])
    assert found.scores.mean == pytest.approx(full.mean(), abs=1e-5)
    recommended = {item for items, _ in best for item in items} - {""}
    assert found.coverage == pytest.approx(len(recommended) / 40)


def test_what_is_as_before_does_not_alert(exported, logs):
    report = compare(exported, read_requests(logs["as before"]))
    assert report.state == "ok"
    assert report.rows == 600
    assert report.signatures == {"serving_default": 600}
    assert report.figure("unknown_users").value == 0
    assert report.figure("empty_answers").value == 0
    assert report.figure("score_psi").value < 0.1
    assert report.figure("coverage").value == pytest.approx(Reference.load(exported).coverage)
    # 12 records of 50 rows, a second apart
    assert report.figure("requests_per_second").value == pytest.approx(600 / 11)
    # No history came with a request.
    assert report.figure("history_psi").state == "few"
    assert math.isnan(report.figure("history_psi").value)


def test_what_has_drifted_alerts(exported, logs, events):
    requests = read_requests(logs["drifted"])
    report = compare(exported, requests)
    assert report.state == "alert"
    assert report.figure("unknown_users").value == pytest.approx(0.9)
    ids = [item for history in requests["history"] for item in history]
    unknown = np.mean([item in ("gone", "new", "newer") for item in ids])
    assert report.figure("unknown_items").value == pytest.approx(unknown)
    for name in ("unknown_users", "unknown_items", "history_psi", "score_psi", "best_score_ks"):
        assert report.figure(name).state == "alert", name
    histogram = report.histograms["history"]
    expected = psi(histogram["reference"], histogram["requests"])
    assert report.figure("history_psi").value == expected
    lengths = requests["history"].map(len)
    assert sum(histogram["requests"]) == (lengths > 0).sum()


def test_a_few_requests_do_not_alert(exported, logs):
    requests = read_requests(logs["drifted"])[:499]
    report = compare(exported, requests)
    assert report.state == "few"
    assert "have fewer than 500 requests and are not checked" in report.notes[-1]
    assert compare(exported, requests, min_rows=400).state == "alert"


def test_no_requests_at_all(exported):
    report = compare(exported, _plain([]))
    assert (report.state, report.rows, report.begin) == ("few", 0, None)
    assert "0 requests" in report.text()


def test_own_limits_decide(exported, logs):
    report = compare(
        exported, read_requests(logs["as before"]), Limits({"coverage": 0.99, "gini": (0.01, 1)})
    )
    assert report.figure("coverage").state == "alert"
    assert report.figure("gini").state == "warn"
    assert report.state == "alert"


def _plain(users, **columns):
    return as_requests(pd.DataFrame({"user_id": users, **columns}))


def test_requests_of_other_versions_are_left_out(exported, events):
    requests = _plain([*events.users.ids[:3], "new"], version=[1, None, 1, 2])
    report = compare(exported, requests)
    assert report.rows == 3
    assert report.figure("unknown_users").value == 0
    assert report.notes[0] == "ignored 1 requests of other versions"


def test_shares_by_hand(exported, events):
    known, items = events.users.ids[0], events.catalogue.vocabulary.ids
    requests = _plain(
        [known, "new", "new", "new"],
        history=[["gone"], ["gone"], [], [items[0], items[1]]],
        items=[[], [], ["gone too"], []],
        item_ids=[[items[2]], [items[2], items[3]], [], None],
        scores=[[1.0], [float("nan"), 1.0], [], None],
        k=[1, 2, 5, 5],
    )
    report = compare(exported, requests, min_rows=1)
    assert report.figure("unknown_users").value == 3 / 4
    # gone, gone and gone too of five ids, in four requests
    assert report.figure("unknown_items").value == 3 / 5
    assert report.figure("unknown_items").rows == 4
    # The second and the third: neither the user nor an item is known.
    assert report.figure("cold_requests").value == 2 / 4
    assert report.figure("empty_answers").value == pytest.approx(1 / 3)
    assert report.figure("empty_answers").rows == 3
    assert report.figure("bad_scores").value == 1 / 2
    assert report.figure("bad_scores").state == "alert"
    assert report.figure("coverage").value == 2 / 40


def test_columns_without_a_reference_are_named(exported):
    report = compare(exported, _plain(["u"], channel=["web"], price=[3.0]))
    assert "the reference lacks these columns: channel, price" in report.notes


def test_a_ranker_s_context(ranker, make_logger, tmp_path):
    pytest.importorskip("tensorflow_serving")
    _, events, version = ranker("all")
    reference = Reference.load(version)
    assert reference.ranks
    assert set(reference.features) == {"hour", "channel"}
    assert reference.features["hour"].mean == pytest.approx(events.context["hour"].mean())
    assert sum(reference.features["channel"].counts) == len(events)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(events), (6, 100))

    def requests(hours):
        for chosen, hour in zip(rows, hours, strict=True):
            yield {
                "user_id": events.users.ids[events.user[chosen]],
                "item_id": events.catalogue.vocabulary.ids[
                    events.item[rng.integers(0, len(events), (100, 8))]
                ],
                "hour": hour,
                "channel": events.context["channel"].to_numpy(object)[chosen],
            }

    logger = make_logger(version)
    hours = events.context["hour"].to_numpy(float)[rows]
    same = logger.log(tmp_path / "same", "serving_default", requests(hours))
    report = compare(version, read_requests(same))
    assert report.state == "ok", report.text()
    assert {figure.name for figure in report.figures} == {
        *("unknown_users", "unknown_items", "cold_requests", "history_psi"),
        *("history_popularity_psi", "bad_scores", "score_psi", "score_ks", "score_shift"),
        *("feature_psi.hour", "feature_psi.channel", "requests_per_second"),
    }
    late = logger.log(tmp_path / "late", "serving_default", requests(hours % 4 + 20))
    report = compare(version, read_requests(late), Limits({"feature_psi.hour": 9.0}))
    assert report.figure("feature_psi.hour").state == "warn"
    assert compare(version, read_requests(late)).figure("feature_psi.hour").state == "alert"
    assert report.figure("feature_psi.channel").state == "ok"
    with pytest.raises(InputError, match="column 'hour' must hold numbers, as in training"):
        compare(version, _plain(["u"], hour=["late"]))
    report = compare(version, _plain(["u"]))
    assert report.figure("feature_psi.hour").rows == 0
    with pytest.raises(InputError, match="the reference has no feature 'day'"):
        compare(version, _plain(["u"]), Limits({"feature_psi.day": 1.0}))


def test_a_version_without_a_reference(exported, tmp_path):
    with pytest.raises(InputError, match=r"reference.json is missing; export the model again"):
        compare(tmp_path, _plain(["u"]))
    (tmp_path / "assets.extra").mkdir()
    shutil.copy(exported / REFERENCE, tmp_path / REFERENCE)
    with pytest.raises(InputError, match="is not an exported version"):
        compare(tmp_path, _plain(["u"]))
    for text, says in (("{", "not readable"), ('{"format": 9}', "format must be 1")):
        (tmp_path / REFERENCE).write_text(text)
        with pytest.raises(InputError, match=says):
            compare(tmp_path, _plain(["u"]))
    (tmp_path / REFERENCE).write_text('{"format": 1}')
    with pytest.raises(InputError, match="was not written by export"):
        compare(tmp_path, _plain(["u"]))


def test_a_frame_of_its_own_has_to_be_checked_first(exported):
    with pytest.raises(InputError, match="must be a frame from read_requests or as_requests"):
        compare(exported, pd.DataFrame({"user_id": ["u"]}))


def test_tensorflow_is_not_imported(exported):
    code = (
        "import sys, pandas as pd\n"
        "from tfrec_fusion.monitoring import as_requests, compare\n"
        "report = compare(sys.argv[1], as_requests(pd.DataFrame({'user_id': ['u']})))\n"
        "assert report.rows == 1 and 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(exported)], check=True)
