import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import RP3Beta

# Users of a: u v w; of b: u v; of c: w; d is cold. Each user has two items.
TRAIN = [("u", "a"), ("v", "a"), ("w", "a"), ("u", "b"), ("v", "b"), ("w", "c")]


def scores_of(model, train, users):
    return model.fit(train).scorer(State.of(train))(np.array(users, np.int32))


def test_p3_alpha_by_hand(temporal):
    # From a: 1/3 to each user, 1/2 to their other item: 1/3 to b, 1/6 to c. From b: 1/2 to a.
    train = temporal(TRAIN, [("u", "c")], items="abcd").train
    u, unknown = scores_of(RP3Beta(alpha=1.0, beta=0.0), train, [0, -1])
    np.testing.assert_allclose(u, [1 / 2, 1 / 3, 1 / 6, 0], rtol=1e-6)
    np.testing.assert_array_equal(unknown, np.zeros(4))


def test_alpha_and_beta_by_hand(temporal):
    # Each probability to the power 2, then divided by the candidate's users to the power .5.
    train = temporal(TRAIN, [("u", "c")], items="abcd").train
    u = scores_of(RP3Beta(alpha=2.0, beta=0.5), train, [0])[0]
    from_b = 2 * (1 / 4) * (1 / 4) / np.sqrt(3)
    np.testing.assert_allclose(
        u, [from_b, 2 * (1 / 9) * (1 / 4) / np.sqrt(2), (1 / 9) * (1 / 4), 0], rtol=1e-6
    )


def test_a_walk_keeps_its_strongest_ends(temporal):
    # From a only b is kept.
    train = temporal(TRAIN, [("u", "c")], items="abcd").train
    u = scores_of(RP3Beta(k=1, alpha=1.0, beta=0.0), train, [0])[0]
    np.testing.assert_allclose(u, [1 / 2, 1 / 3, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("options", [{"alpha": 0}, {"beta": -1}, {"beta": float("nan")}, {"k": 0}])
def test_bad_options(options):
    with pytest.raises(InputError, match=f"RP3Beta: {next(iter(options))}"):
        RP3Beta(**options)
