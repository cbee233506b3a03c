import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from tfrec_fusion._compat import tf
from tfrec_fusion.models.calibration.calibration import Calibration
from tfrec_fusion.models.calibration.curve import Curve
from tfrec_fusion.models.calibration.methods import METHODS, isotonic, platt, temperature


def _groups(*groups):
    """Logits and labels of groups (logit, rows, positives)."""
    logits = np.concatenate([np.full(rows, x, float) for x, rows, _ in groups])
    labels = np.concatenate([np.arange(rows) < taken for _, rows, taken in groups]).astype(float)
    return logits, labels


def test_platt_goes_through_two_groups():
    # 250 of 1,000 at -1 and 500 of 1,000 at 1. A positive counts as 751/752, a negative as 1/1252.
    curve = platt(*_groups((-1, 1000, 250), (1, 1000, 500)))
    above, below = 751 / 752, 1 / 1252
    low, high = logit((250 * above + 750 * below) / 1000), logit((above + below) / 2)
    assert curve.slope == pytest.approx((high - low) / 2, rel=1e-6)
    assert curve.x == (0.0,) and curve.y[0] == pytest.approx((high + low) / 2, rel=1e-6)
    # Even where a threshold separates them.
    assert 1 < platt(*_groups((-1, 50, 0), (1, 50, 50))).slope < 10


def test_temperature_keeps_a_half():
    # 100 of 400 at -3 and 300 of 400 at 3: 3 / T is the logit of the mean target of the latter.
    curve = temperature(*_groups((-3, 400, 100), (3, 400, 300)))
    target = (300 * 401 / 402 + 100 * 1 / 402) / 400
    assert curve.slope == pytest.approx(logit(target) / 3, rel=1e-6)
    assert (curve.x, curve.y) == ((0.0,), (0.0,))


def test_isotonic_pools_what_falls():
    # 30 % before 20 %: one block of 200 rows with 50 positives. In total 110 of 300.
    curve = isotonic(*_groups((0, 100, 30), (1, 100, 20), (2, 100, 60)))
    share = 110 / 300
    low, high = logit((50 + share) / 201), logit((60 + share) / 101)
    assert curve.x == (0.5, 2.0)
    assert curve.y == pytest.approx((low, high))
    found = Calibration(method="isotonic", total=curve).logits([-1.0, 0.5, 1.25, 2.0, 4.0])
    expected = [low - 1.5, low, (low + high) / 2, high, high + 2]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_isotonic_has_blocks_of_fifty_rows_and_few_knots():
    # 1 of 1 at the top would be certain.
    curve = isotonic(*_groups((0, 100, 30), (1, 60, 30), (2, 1, 1)))
    assert len(curve.x) == 2 and expit(curve.y[1]) < 0.6
    rng = np.random.default_rng(0)
    x = rng.normal(0, 3, 50_000)
    curve = isotonic(x, (rng.random(len(x)) < expit(x)).astype(float))
    assert 20 < len(curve.x) <= 63
    # The logits were right; a block has at least 50 rows.
    assert np.abs(expit(curve.y) - expit(curve.x)).max() < 0.1


def test_a_contrary_order_is_refused():
    rows = _groups((-1, 100, 80), (1, 100, 20))
    for method in (platt, temperature):
        with pytest.raises(ValueError, match=r"must be positive. Received: -1\."):
            method(*rows)
    assert len(isotonic(*rows).x) == 1  # another share of positives alone


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), method=st.sampled_from(list(METHODS)))
def test_order_is_kept(seed, method):
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.normal(), rng.uniform(0.1, 5), 2000).astype(np.float32).astype(float)
    x[:100] = x[0]  # ties
    shape = rng.normal(), rng.uniform(0.2, 3)
    labels = (rng.random(len(x)) < expit(shape[0] + shape[1] * x)).astype(float)
    if not 0 < labels.sum() < len(labels):
        return
    try:
        one = Calibration(method=method, total=METHODS[method](x, labels))
    except ValueError:  # too few positives to rise
        return
    logits = np.sort(np.append(x, rng.normal(0, 20, 500))).astype(np.float32)
    found = one.logits(logits).numpy()
    assert (np.diff(found) >= 0).all()
    assert (np.diff(found)[np.diff(logits) == 0] == 0).all()
    apart = np.diff(logits) > 1e-2
    assert (np.diff(found)[apart] > 0).all()
    graph = tf.function(lambda values: one.logits(values))
    np.testing.assert_allclose(graph(logits), found, rtol=1e-6, atol=1e-6)


def test_slices_have_curves_of_their_own():
    def shifted(by):
        return Curve(x=(0.0,), y=(float(by),))

    steps = Curve(x=(0.0, 1.0, 3.0), y=(0.0, 4.0, 5.0), slope=2.0)
    one = Calibration(method="any", total=shifted(1), by="warm", slices={0: shifted(9), 5: steps})
    codes = [[0, 5, 5], [5, 3, -1], [99, 5, 5]]
    found = one.logits([[1.0, 0.5, 2.0], [4.0, 1.0, 1.0], [1.0, -1.0, np.inf]], np.array(codes))
    np.testing.assert_allclose(found, [[10, 2, 4.5], [7, 2, 2], [2, -2, np.inf]])
    np.testing.assert_allclose(one.logits([1.0]), [2.0])  # without codes
    assert Calibration.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(
    "knots, told",
    [
        ({"x": (), "y": ()}, "as many knots, at least one. Received: 0 and 0"),
        ({"x": (1.0,), "y": (1.0, 2.0)}, "Received: 1 and 2"),
        ({"x": (1.0, 1.0), "y": (1.0, 2.0)}, "x must be finite and strictly rising"),
        ({"x": (1.0, 2.0), "y": (2.0, 1.0)}, "y must be finite and strictly rising"),
        ({"x": (1.0,), "y": (1.0,), "slope": 0.0}, "slope"),
    ],
)
def test_a_curve_that_does_not_rise(knots, told):
    with pytest.raises(ValueError, match=told):
        Curve(**knots)
