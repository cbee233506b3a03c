import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import ParityLimits, ParityReport, Recommender, export, refresh
from tfrec_fusion.export.parity import _ndcg, _overlap
from tfrec_fusion.export.versions import versions


def _size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_figures_by_hand():
    ours, theirs = np.array([4, 2, 7, -1]), np.array([7, 9, 4, -1])
    assert _overlap(ours, theirs) == pytest.approx(2 / 3)
    assert _overlap(np.array([-1, -1]), theirs[:2]) == 1
    # Targets 2 and 5: the best would be 1 / log2(2) + 1 / log2(3); 2 is in the second place.
    assert _ndcg(ours, np.array([2, 5])) == pytest.approx(0.63093 / 1.63093, abs=1e-5)


@pytest.mark.parametrize(
    ("figures", "limits", "says"),
    [
        ({"overlap": {"10": 0.94, "100": 1}}, {}, "overlap_10 is 0.94 and its limit 0.95"),
        ({"overlap": {"10": 1, "100": 0.5}}, {}, "overlap_100 is 0.5 and its limit 0.9"),
        (
            {"ndcg_10": {"float32": 0.2, "smaller": 0.19, "users": 3}},
            {},
            "ndcg_loss is 0.05 and its limit 0.02",
        ),
        ({}, {"score_error": 0.001}, "score_error is 0.01 and its limit 0.001"),
    ],
)
def test_limits(figures, limits, says):
    report = ParityReport(
        **{
            "precision": "int8",
            "users": 3,
            "score_error": {"mean": 0.01, "max": 0.1, "spread": 1},
            "overlap": {"10": 1, "100": 1},
            "ndcg_10": None,
            "bytes": {"float32": 2, "smaller": 1},
            "p50_ms": {},
        }
        | figures
    )
    with pytest.raises(InputError, match=says):
        report.check(ParityLimits(**limits))
    report.check(ParityLimits(overlap_10=0, overlap_100=0, ndcg_loss=1))


def test_the_report_is_beside_the_model(smaller, exported):
    version, reference = smaller
    report = ParityReport.load(version / "parity.json")
    card = Recommender(version).card
    assert card["precision"] == report.precision == reference.precision
    assert card["parity"] == report.to_dict()
    assert report.users == len(np.flatnonzero(reference.histories.lengths))
    assert report.overlap["10"] > 0.95
    assert 0 < report.score_error["mean"] < 0.05 * report.score_error["spread"]
    # The card, the report and the warm-up requests come after the sizes were taken.
    sizes = [_size(folder) for folder in (version, exported)]
    assert sizes[0] - report.bytes["smaller"] == pytest.approx(
        sizes[1] - report.bytes["float32"], abs=6_000
    )
    assert not (exported / "parity.json").exists()
    assert Recommender(exported).card["precision"] == "float32"


def test_golden_requests(smaller, golden):
    version, reference = smaller
    served = tf.saved_model.load(str(version))
    for signature, inputs in golden.two_tower_requests(reference):
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = served.signatures[signature](**tensors)
        outputs = {name: value.numpy() for name, value in outputs.items()}
        golden.check_two_tower(reference, signature, inputs, outputs)


@pytest.mark.slow
def test_golden_requests_in_a_process_without_the_package(smaller, golden, tmp_path):
    version, reference = smaller
    requests = golden.two_tower_requests(reference)
    todo = [(str(version), signature, inputs) for signature, inputs in requests]
    (tmp_path / "requests").write_bytes(pickle.dumps(todo))
    script = Path(__file__).parents[1] / "fixtures" / "clean_process.py"
    command = [sys.executable, script, tmp_path / "requests", tmp_path / "answers"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = pickle.loads((tmp_path / "answers").read_bytes())
    for (signature, inputs), outputs in zip(requests, answers, strict=True):
        golden.check_two_tower(reference, signature, inputs, outputs)


@pytest.mark.slow
def test_a_loss_beyond_the_limit_leaves_no_version(tmp_path, model, events):
    limits = ParityLimits(score_error=0)
    with pytest.raises(InputError, match="'int8' is too far from float32: score_error is"):
        export(model, events, tmp_path / "shop", precision="int8", limits=limits)
    assert versions(tmp_path / "shop") == {}
    assert [path.name for path in tmp_path.rglob("*") if path.name != ".deployment.lock"] == [
        "shop"
    ]


@pytest.mark.acceptance
def test_held_out_items_count(tmp_path, make_shop_events, make_model):
    split = make_shop_events().split("temporal", test=0.3)
    model = make_model(split.train)
    limits = ParityLimits(overlap_10=0, overlap_100=0, ndcg_loss=1)
    options = {"precision": "int8", "deployment": False, "limits": limits}
    version = export(model, split.train, tmp_path / "shop", held_out=split, **options)
    ndcg = ParityReport.load(version / "parity.json").ndcg_10
    assert ndcg["users"] == len(split.targets()[0])
    assert 0 < ndcg["float32"] < 1
    assert ndcg["smaller"] == pytest.approx(ndcg["float32"], abs=0.02)
    # What is exported beyond the training events changes no figure.
    every = export(model, make_shop_events(), tmp_path / "shop", held_out=split, **options)
    assert ParityReport.load(every / "parity.json").ndcg_10 == ndcg
    # A refreshed version is stored as the one before it.
    again = refresh(model, make_shop_events(), tmp_path / "shop", deployment=False, limits=limits)
    assert Recommender(again).card["precision"] == "int8"


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("int8", marks=pytest.mark.slow),
        pytest.param("bfloat16", marks=pytest.mark.acceptance),
        pytest.param("float16", marks=pytest.mark.acceptance),
    ],
)
def test_a_ranker_in_fewer_bytes(tmp_path, golden, ranker, precision):
    model, events, full = ranker("all")
    limits = ParityLimits(overlap_10=0)
    options = {"precision": precision, "limits": limits, "deployment": False}
    version = export(model, events, tmp_path / "shop", **options)
    report = ParityReport.load(version / "parity.json")
    assert 0 < report.score_error["mean"] < 0.05 * report.score_error["spread"]
    served = [tf.saved_model.load(str(path)).signatures for path in (full, version)]
    for name, inputs, _ in golden.ranker_requests(model, events):
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        before, after = (signatures[name](**tensors) for signatures in served)
        assert {k: v.shape for k, v in before.items()} == {k: v.shape for k, v in after.items()}


def test_precision_is_checked_first(tmp_path, model, events):
    with pytest.raises(InputError, match="precision must be one of"):
        export(model, events, tmp_path / "shop", precision="fp8")
    with pytest.raises(InputError, match="limits compare a lower precision with float32"):
        export(model, events, tmp_path / "shop", limits=ParityLimits())
    assert not (tmp_path / "shop").exists()
