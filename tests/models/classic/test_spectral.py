import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.embeddings import SpectralFusion
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import export
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import Spectral
from tfrec_fusion.models.classic.spectral_choice import chosen_fusion

OPTIONS = {"regularization": 3.0, "popularity_power": 0.5, "dislike_weight": 0.6}


def _events(seed=0, users=12, items=9):
    """Random ratings; those below 4 are dislikes."""
    generator = np.random.default_rng(seed)
    rating = generator.integers(1, 6, (users, items))
    rated = np.argwhere(generator.random((users, items)) < 0.6)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{user}" for user, _ in rated],
            "item_id": [f"i{item}" for _, item in rated],
            "rating": [float(rating[user, item]) for user, item in rated],
        }
    )
    text = {"text": generator.standard_normal((items, 4)).astype(np.float32)}
    catalogue = Catalogue(pd.DataFrame({"item_id": [f"i{i}" for i in range(items)]}), vectors=text)
    return Interactions.from_frame(frame, catalogue, min_rating=4, low_ratings="dislike")


def _ridge(events, queries, dislike_weight, regularization, text_weight, power):
    """Scores of ridge regression of K = [likes; dislikes; text], the definition of the model."""
    likes, low = events.matrix().toarray(), events.disliked().toarray()

    def damped(matrix):
        counts = matrix.sum(1)
        some = counts > 0
        return matrix[some] * (counts[some] / np.median(counts[some]))[:, None] ** -0.25

    counts = likes.sum(0)
    weights = (np.maximum(counts, 1) / np.median(counts[counts > 0])) ** -power
    text = events.catalogue.vectors["text"].values
    text = text - text[counts > 0].mean(0)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    rows = [damped(likes) * weights, dislike_weight * damped(low) * weights]
    K = np.concatenate([*rows, np.sqrt(text_weight) * text.T])
    gram = K.T @ K
    return (queries * weights) @ gram @ np.linalg.inv(gram + regularization * np.eye(len(gram)))


def test_scores_are_those_of_ridge_regression_less_what_is_disliked():
    events = _events()
    model = Spectral(dim=9, text_weight=2.0, dislike_penalty=0.5, **OPTIONS).fit(events)
    scores = model.scorer(State.of(events))(np.arange(12, dtype=np.int32))
    queries = events.matrix().toarray() - 0.5 * events.disliked().toarray()
    expected = _ridge(events, queries, 0.6, 3.0, 2.0, 0.5)
    # The user's vector has length 1, so scores are proportional.
    lengths = np.sqrt(((scores @ expected.T).diagonal() / (expected**2).sum(1))[:, None] ** 2)
    np.testing.assert_allclose(scores, lengths * expected, atol=1e-5)
    assert (lengths > 0).all()


def test_dislikes_are_ignored_without_a_weight():
    events = _events()
    without = Spectral(dim=9, **OPTIONS | {"dislike_weight": 0.0}).fit(events)
    likes = Spectral(dim=9, **OPTIONS).fit(events.positives())
    users = np.arange(12, dtype=np.int32)
    np.testing.assert_allclose(
        without.scorer(State.of(events))(users),
        likes.scorer(State.of(events.positives()))(users),
        atol=1e-6,
    )


def test_dislikes_after_the_time_and_of_cut_histories_are_not_seen():
    frame = pd.DataFrame(
        {
            "user_id": ["u", "u", "u"],
            "item_id": ["a", "b", "c"],
            "rating": [5.0, 1.0, 1.0],
            "timestamp": [1e9, 1.1e9, 1.2e9],
        }
    )
    catalogue = Catalogue(pd.DataFrame({"item_id": ["a", "b", "c"]}))
    events = Interactions.from_frame(frame, catalogue, min_rating=4, low_ratings="dislike")
    disliked = State.of(events, 1.15e9).disliked
    assert disliked is not None
    np.testing.assert_array_equal(disliked.toarray(), [[0, 1, 0]])
    assert State.of(events, 1.15e9).cut(0).disliked is None
    assert State.of(events.positives()).disliked is None


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_saved_and_exported(tmp_path, precision):
    events = _events()
    model = Spectral(dim=9, **OPTIONS).fit(events)
    model.save(tmp_path / "model")
    expected = model.scorer(State.of(events))(np.arange(-1, 12, dtype=np.int32))
    again = Spectral.load(tmp_path / "model")
    found = again.scorer(State.of(events))(np.arange(-1, 12, dtype=np.int32))
    np.testing.assert_array_equal(found, expected)
    export(again, events, tmp_path / "shop", precision=precision)
    loaded = tf.saved_model.load(str(tmp_path / "shop" / "1"))
    users = np.append("stranger", events.users.ids)
    answer = loaded.signatures["score"](
        user_id=tf.constant(users),
        item_id=tf.constant(np.tile(events.catalogue.vocabulary.ids, (13, 1))),
    )["score"]
    limit = 1e-5 if precision == "float32" else 0.03
    np.testing.assert_allclose(answer, expected, atol=limit)
    assert not answer[0].numpy().any()


def _planted(users, items, seed=0, liked=0.3):
    """Likes of two tastes, one of each half of the items, with little noise."""
    generator = np.random.default_rng(seed)
    same = (np.arange(users)[:, None] % 2) == (np.arange(items)[None] % 2)
    return sparse.csr_matrix((generator.random((users, items)) < 0.02 + liked * same).astype("f"))


def test_the_chosen_regularization_is_the_best_of_the_grid(monkeypatch, caplog):
    caplog.set_level("INFO")
    likes = _planted(200, 40)
    options = {"dim": 40, "regularization": None, "popularity_power": 0.0, "dislike_weight": None}
    tried = []
    original = SpectralFusion.factors

    def counted(self, *args):
        tried.append(self.popularity_power)
        return original(self, *args)

    monkeypatch.setattr(SpectralFusion, "factors", counted)
    found = chosen_fusion(options, likes)
    assert tried == [0.0]  # one decomposition for the whole grid
    middle = 80 + 8 * likes.nnz / 40
    steps = np.log(found.regularization / middle) / np.log(1.4)
    assert abs(steps - round(steps)) < 1e-6 and -4 <= round(steps) <= 6
    assert (found.popularity_power, found.dislike_weight) == (0.0, 0.0)
    assert "of 11 settings: NDCG@10" in caplog.text


def test_few_users_leave_no_choice(caplog):
    caplog.set_level("INFO")
    options = {"dim": 4, "regularization": None, "popularity_power": None, "dislike_weight": None}
    found = chosen_fusion(options, sparse.csr_matrix(np.eye(4, dtype="f")))
    # One event an item: 80 + 8.
    assert (found.regularization, found.popularity_power) == (88.0, 0.0)
    assert "too few" in caplog.text
    given = chosen_fusion(
        options | {"regularization": 5.0}, sparse.csr_matrix(np.eye(4, dtype="f"))
    )
    assert given.regularization == 5.0


def test_dislikes_are_chosen_where_they_help():
    likes = _planted(1500, 40, liked=0.06)
    generator = np.random.default_rng(1)
    other = (np.arange(1500)[:, None] % 2) != (np.arange(40)[None] % 2)
    low = sparse.csr_matrix((generator.random((1500, 40)) < 0.5 * other).astype("f"))
    noise = sparse.csr_matrix((generator.random((1500, 40)) < 0.25).astype("f"))
    options = {"dim": 40, "regularization": 100.0, "popularity_power": 0.0, "dislike_weight": None}
    assert chosen_fusion(options, likes, disliked=low, dislike_penalty=0.2).dislike_weight == 0.6
    assert chosen_fusion(options, likes, disliked=noise, dislike_penalty=0.2).dislike_weight == 0.0


def test_bad_options():
    with pytest.raises(InputError, match="regularization"):
        Spectral(regularization=0)
    with pytest.raises(InputError, match="Received: 'image'"):
        Spectral(vectors="image").fit(_events())
    with pytest.raises(InputError, match="disliked: must have the shape"):
        SpectralFusion(dim=2).fit(_planted(4, 4), disliked=_planted(4, 5))
