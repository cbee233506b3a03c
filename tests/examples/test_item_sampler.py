import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.item_sampler import ItemSampler

COUNTS = np.array([6, 3, 1, 0])


@pytest.mark.parametrize(
    ("sampling", "shares"),
    [
        ("uniform", [0.25, 0.25, 0.25, 0.25]),
        ("popularity", [0.6, 0.3, 0.1, 0]),
        ("mixed", [0.425, 0.275, 0.175, 0.125]),
    ],
)
def test_items_are_drawn_as_often_as_their_shares_say(sampling, shares):
    sampler = ItemSampler(sampling, COUNTS)
    np.testing.assert_allclose(sampler.shares, shares)
    drawn = np.bincount(sampler(20_000, np.random.default_rng(0)), minlength=4) / 20_000
    np.testing.assert_allclose(drawn, shares, atol=0.02)
    assert (drawn[np.array(shares) == 0] == 0).all()


def test_what_cannot_be_sampled():
    with pytest.raises(InputError, match=r"one of uniform, popularity, mixed. Received: 'hard'"):
        ItemSampler("hard", COUNTS)
    with pytest.raises(InputError, match=r"'mixed' needs events. Received: 0 events"):
        ItemSampler("mixed", np.zeros(3))
    assert ItemSampler("uniform", np.zeros(3))(5, np.random.default_rng(0)).max() < 3
