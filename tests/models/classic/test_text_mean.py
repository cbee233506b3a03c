import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import TextMean

# Around their mean (5, 5) the warm items are a and b on one axis, c and d on the other, all with
# the same variance, so whitening only rotates; the cold item e lies where a does, only further.
VECTORS = np.array([[6, 5], [4, 5], [5, 6], [5, 4], [9, 5]], np.float32)
TRAIN = [("u", "a"), ("v", "b"), ("v", "c"), ("w", "d")]


@pytest.fixture
def train(temporal):
    return temporal(TRAIN, [("u", "c")], vectors={"text": VECTORS}).train


def test_cosines_by_hand(train):
    scores = TextMean(dims=2).fit(train).scorer(State.of(train))(np.array([0, 1, -1], np.int32))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[0], [1, -1, 0, 0, 1], atol=1e-5)
    half = np.sqrt(0.5)  # b and c at right angles: their mean is at 45 degrees to both
    np.testing.assert_allclose(scores[1], [-half, half, half, -half, -half], atol=1e-5)
    np.testing.assert_array_equal(scores[2], np.zeros(5))


def test_cold_items_do_not_move_the_whitening(temporal, train):
    moved = VECTORS.copy()
    moved[4] = [-50, 70]
    other = temporal(TRAIN, [("u", "c")], vectors={"text": moved}).train
    a = TextMean(dims=2).fit(train).scorer(State.of(train))(np.arange(3))
    b = TextMean(dims=2).fit(other).scorer(State.of(other))(np.arange(3))
    np.testing.assert_array_equal(a[:, :4], b[:, :4])


def test_items_without_a_vector_score_nothing(train):
    train.catalogue.vectors["text"].mask[2] = False
    scores = TextMean(dims=1).fit(train).scorer(State.of(train))(np.arange(3))
    assert (scores[:, 2] == 0).all()


def test_bad_arguments(train):
    with pytest.raises(InputError, match="dims"):
        TextMean(dims=0)
    with pytest.raises(InputError, match="dim"):
        TextMean(dims=3).fit(train)
    with pytest.raises(InputError, match="Received: 'image'"):
        TextMean(vectors="image").fit(train)
    train.catalogue.vectors["text"].mask[:] = False
    with pytest.raises(InputError, match="no item of the training events"):
        TextMean().fit(train)
