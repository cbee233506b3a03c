import numpy as np

from tfrec_fusion.models.explained.shapley import shapley_weights, subsets


def test_subsets():
    assert subsets(["a", "b"]) == [set(), {"a"}, {"b"}, {"a", "b"}]
    assert subsets([]) == [set()]


def test_two_players_share_what_they_do_together():
    # a brings 3 first and 5 after b, b brings 1 first and 3 after a.
    np.testing.assert_allclose(shapley_weights("ab") @ [0, 3, 1, 6], [4, 2])


def test_three_players():
    """The glove game: a has a left glove, b and c a right one each; a pair is worth 6.

    b completes a's pair only where it comes after a and before c: in 1 of the 6 orders.
    """
    values = [6.0 * ("a" in shown and len(shown) > 1) for shown in subsets("abc")]
    np.testing.assert_allclose(shapley_weights("abc") @ values, [4, 1, 1])


def test_shares_add_up_to_what_all_bring():
    names = "abcdef"
    weights = shapley_weights(names)
    assert weights.shape == (6, 64)
    expected = np.zeros(64)
    expected[[0, -1]] = -1, 1
    np.testing.assert_allclose(weights.sum(0), expected, atol=1e-15)
