import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import EASE

TRAIN = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "b"), ("w", "a"), ("w", "c")]
VECTORS = np.array([[1, 0], [0, 1], [1, 1], [0.1, 1]], np.float32)


def test_two_items_by_hand(temporal):
    # Both users have a and b: X'X + l I = [[3, 2], [2, 3]] with l = 1, whose inverse is
    # [[3, -2], [-2, 3]] / 5, so B_ab = 2/3.
    train = temporal([("u", "a"), ("u", "b"), ("v", "a"), ("v", "b")], [("u", "c")], "abc").train
    scores = EASE(l2=1).fit(train).scorer(State.of(train))(np.array([0, -1], np.int32))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [[2 / 3, 2 / 3, 0], [0, 0, 0]], atol=1e-6)


def test_each_column_is_the_ridge_regression_on_the_other_items(temporal):
    # B_j minimises |X_j - X_-j b|^2 + weight |z_j - z_-j b|^2 + l |b|^2, here for every j.
    train = temporal(TRAIN, [("u", "c")], items="abcd", vectors={"text": VECTORS}).train
    x = train.matrix().toarray().astype(np.float64)
    z = VECTORS - VECTORS[:3].mean(0)  # d is cold
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    stacked = np.vstack([x, np.sqrt(5) * z.T])
    expected = np.zeros((4, 4))
    for j in range(4):
        others = np.arange(4) != j
        a = stacked[:, others]
        solved = np.linalg.solve(a.T @ a + 2 * np.eye(3), a.T @ stacked[:, j])
        expected[others, j] = solved
    found = (
        EASE(l2=2, vectors="text", text_weight=5).fit(train).scorer(State.of(train))(np.arange(3))
    )
    np.testing.assert_allclose(found, x @ expected, atol=1e-5)


def test_text_reaches_cold_items_and_a_missing_vector_is_nothing(temporal):
    train = temporal(TRAIN, [("u", "c")], items="abcd", vectors={"text": VECTORS}).train
    plain = EASE(l2=2).fit(train).scorer(State.of(train))(np.arange(3))
    fused = (
        EASE(l2=2, vectors="text", text_weight=5).fit(train).scorer(State.of(train))(np.arange(3))
    )
    assert (plain[:, 3] == 0).all()
    assert (fused[:, 3] != 0).any()
    train.catalogue.vectors["text"].mask[3] = False
    masked = (
        EASE(l2=2, vectors="text", text_weight=5).fit(train).scorer(State.of(train))(np.arange(3))
    )
    np.testing.assert_allclose(masked[:, 3], 0, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"l2": 0}, "l2"),
        ({"l2": float("nan")}, "l2"),
        ({"text_weight": -1}, "text_weight"),
        ({"text_weight": 1}, "need each other"),
        ({"vectors": "text"}, "need each other"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(InputError, match=words):
        EASE(**options)


def test_an_unknown_store(temporal):
    train = temporal(TRAIN, [("u", "c")], items="abcd", vectors={"text": VECTORS}).train
    with pytest.raises(InputError, match=r"one of \['text'\].*Received: 'image'"):
        EASE(vectors="image", text_weight=1).fit(train)
