import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.monitoring import Limits


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("score_psi", 0.1, "ok"),
        ("score_psi", 0.11, "warn"),
        ("score_psi", 0.26, "alert"),
        ("score_shift", -0.6, "alert"),
        ("feature_psi.hour", 0.2, "warn"),
        ("bad_scores", 0.001, "alert"),
        ("bad_scores", 0.0, "ok"),
        ("coverage", 0.0, "ok"),
        ("gini", float("nan"), "ok"),
    ],
)
def test_defaults(name, value, state):
    assert Limits().state(name, value) == state


def test_own_limits():
    limits = Limits.parse(["score_psi=0.3", "coverage=0.5:0.2", "feature_psi.hour=1:2", "gini=.9"])
    assert limits.of("score_psi") == (0.1, 0.3)
    assert limits.state("coverage", 0.6) == "ok"
    assert limits.state("coverage", 0.4) == "warn"
    assert limits.state("coverage", 0.1) == "alert"
    assert limits.of("feature_psi.hour") == (1, 2)
    assert limits.of("feature_psi.other") == (0.1, 0.25)
    assert limits.features() == ["hour"]
    assert limits.state("gini", 0.95) == "alert"


def test_a_warning_comes_no_later_than_the_alert():
    assert Limits({"score_psi": 0.05}).of("score_psi") == (0.05, 0.05)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["score_psi"], "NAME=ALERT or NAME=WARN:ALERT.*Received: score_psi"),
        (["score_psi=a"], "Received: score_psi=a"),
        (["score_psi=1:2:3"], "Received: score_psi=1:2:3"),
        (["score_psi=1", "gini=1", "score_psi=2"], "score_psi is given twice"),
        (["score_psi=nan"], "score_psi must be a number"),
        (["score_psi=0.3:0.2"], "score_psi must warn before it alerts"),
        (["coverage=0.2:0.3"], "coverage must warn before it alerts"),
        (["psi=0.2"], "unknown figure 'psi'; use one of unknown_users"),
        (["score_psi.hour=0.2"], "unknown figure 'score_psi.hour'"),
    ],
)
def test_bad_limits_are_named(texts, says):
    with pytest.raises(InputError, match=says):
        Limits.parse(texts)
