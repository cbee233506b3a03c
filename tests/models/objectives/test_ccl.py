import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models import CCL, Targets


def test_by_hand():
    targets = Targets(tf.constant([[0, 0], [1, 0], [1, 1]]), tf.constant([[0, 3]]))
    scores = tf.constant([[0.5, 0.75, 0.25, 9.0], [1.0, 0.5, -1.0, 1.0]])
    # Row 0: 1 - .5 + 8 (.25 + 0) / 2 = 1.5; the last is masked.
    # Row 1: (0 + .5) / 2 + 8 (0 + .5) / 2 = 2.25.
    assert CCL(margin=0.5, negative_weight=8)(targets, scores).numpy() == (1.5 + 2.25) / 2


def test_a_score_above_1_is_no_gain():
    targets = Targets(tf.constant([[0, 0]]), tf.zeros([0, 2], tf.int32))
    assert CCL()(targets, tf.constant([[7.0, 0.0]])).numpy() == 0


@pytest.mark.parametrize("options", [{"margin": 1.0}, {"negative_weight": -1}])
def test_options_out_of_range(options):
    with pytest.raises(InputError, match=rf"CCL: {next(iter(options))} must .* Received: "):
        CCL(**options)
