import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.optimizers import WarmupCosine


def test_rates_worked_out_by_hand():
    schedule = WarmupCosine(0.8, total_steps=8, warmup_steps=4, final_fraction=0.25)
    rates = [float(schedule(step)) for step in range(10)]
    # Warm-up: .8 (s + 1) / 4 = .2 .4 .6 .8. Then .8 (1/4 + 3/4 c) = .2 + .6 c, where
    # c = (1 + cos(pi (s - 4) / 4)) / 2 at s = 4..8 is 1, .8535534, .5, .1464466, 0.
    expected = [0.2, 0.4, 0.6, 0.8, 0.8, 0.7121320, 0.5, 0.2878680, 0.2, 0.2]
    assert rates == pytest.approx(expected, abs=1e-6)


def test_without_warmup_starts_at_the_peak():
    schedule = WarmupCosine(0.5, total_steps=2, final_fraction=0.0)
    # .5 (1 + cos(0)) / 2 = .5, .5 (1 + cos(pi / 2)) / 2 = .25, .5 (1 + cos(pi)) / 2 = 0.
    assert [float(schedule(s)) for s in (0, 1, 2)] == pytest.approx([0.5, 0.25, 0.0], abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(
    warmup=st.integers(0, 20),
    rest=st.integers(1, 50),
    final=st.floats(0, 1),
    step=st.integers(0, 200),
)
def test_rises_then_falls_between_the_bounds(warmup, rest, final, step):
    schedule = WarmupCosine(
        1.0, total_steps=warmup + rest, warmup_steps=warmup, final_fraction=final
    )
    now, after = float(schedule(step)), float(schedule(step + 1))
    assert 0 <= now <= 1 + 1e-6
    if step + 1 < warmup:
        assert after > now
    elif step >= warmup:
        assert after <= now + 1e-6
        assert now >= final - 1e-6


def test_graph_equals_eager():
    schedule = WarmupCosine(0.1, total_steps=20, warmup_steps=5)
    graph = tf.function(schedule)
    for step in (0, 4, 5, 13, 20, 99):
        value = tf.constant(step, tf.int64)
        assert float(graph(value)) == pytest.approx(float(schedule(value)), rel=1e-6)


def test_config_round_trip():
    schedule = WarmupCosine(0.1, total_steps=20, warmup_steps=5, final_fraction=0.2, name="rate")
    config = keras.optimizers.schedules.serialize(schedule)
    again = keras.optimizers.schedules.deserialize(config)
    assert type(again) is WarmupCosine
    assert again.get_config() == schedule.get_config()


def test_the_optimizer_follows_it():
    # SGD on the loss w, whose gradient is 1, so each step moves w by its own rate:
    # .5, 1, 1 (cos 0), then .5 (1 + cos(pi / 2)) = .5: w = -3 after four steps.
    w = tf.Variable(0.0)
    sgd = keras.optimizers.SGD(WarmupCosine(1.0, total_steps=4, warmup_steps=2, final_fraction=0.0))
    for _ in range(4):
        sgd.apply_gradients([(tf.constant(1.0), w)])
    assert float(w) == pytest.approx(-3.0, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"peak": 0.0, "total_steps": 5}, "peak must be a finite number above 0. Received: 0.0"),
        ({"peak": float("nan"), "total_steps": 5}, "peak .* Received: nan"),
        ({"peak": 1.0, "total_steps": 5, "warmup_steps": -1}, "warmup_steps .* Received: -1"),
        ({"peak": 1.0, "total_steps": 5, "warmup_steps": 5}, "total_steps .* Received: 5"),
        ({"peak": 1.0, "total_steps": 5, "final_fraction": 1.5}, "final_fraction .*: 1.5"),
    ],
)
def test_bad_arguments(arguments, says):
    with pytest.raises(InputError, match=says):
        WarmupCosine(**arguments)
