import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tfrec_fusion.embeddings import SpectralFusion, spectral_factors
from tfrec_fusion.errors import InputError


def _purchases(users=60, items=40, share=0.2, seed=0):
    generator = np.random.default_rng(seed)
    return sparse.csr_matrix((generator.random((users, items)) < share).astype(np.float32))


def _text(items=40, dims=6, seed=1):
    return np.random.default_rng(seed).standard_normal((items, dims)) + 3.0


def test_by_hand():
    # Users buy {0}, {1}, {1}: user counts 1, 1, 1 and b = a = 0, so K'K = diag(1, 2). With
    # lambda 2 the squared lengths are 2/(2+2) = 1/2 (item 1, first) and 1/(1+2) = 1/3 (item 0).
    purchases = sparse.csr_matrix(np.array([[1, 0], [0, 1], [0, 1]], np.float32))
    result = SpectralFusion(dim=3, regularization=2.0).fit(purchases)
    np.testing.assert_allclose(
        result.vectors, [[0, (1 / 3) ** 0.5, 0], [0.5**0.5, 0, 0]], atol=1e-6
    )
    np.testing.assert_array_equal(result.weights, [1, 1])
    np.testing.assert_allclose(result.user_vectors(purchases), [[0, 1, 0], [1, 0, 0], [1, 0, 0]])
    assert result.vectors.dtype == result.weights.dtype == np.float32


def test_text_by_hand():
    # Items 0 and 1 bought once by one user each, item 2 never. Text 1, -1, 5 in one dimension:
    # the mean over the items with events is 0, so Z = (1, -1, 1) after normalising. alpha = 3.
    # K'K = I (items 0, 1) + 3 zz' = [[4, -3, 3], [-3, 4, -3], [3, -3, 3]], scores at lambda 1 and
    # full rank: K'K (K'K + I)^-1.
    purchases = sparse.csr_matrix(np.array([[1, 0, 0], [0, 1, 0]], np.float32))
    result = SpectralFusion(dim=3, regularization=1.0, text_weight=3.0).fit(
        purchases, np.array([[1.0], [-1.0], [5.0]])
    )
    gram = np.array([[4, -3, 3], [-3, 4, -3], [3, -3, 3]], float)
    np.testing.assert_allclose(
        result.vectors @ result.vectors.T, gram @ np.linalg.inv(gram + np.eye(3)), atol=1e-5
    )
    masked = SpectralFusion(dim=3, regularization=1.0, text_weight=3.0).fit(
        purchases, np.array([[1.0], [-1.0], [5.0]]), mask=[True, True, False]
    )
    assert not masked.vectors[2].any()


def test_powers_by_hand():
    # Events a user: 1 and 4, median 2.5; an item: 2, 1, 1, 1 and 0, median of those sold 1.
    # With a = 1 the weights are 1/2, 1, 1, 1, and the unsold item counts as sold once: 1.
    # With b = 1 the rows are scaled by 2.5 and 2.5/4 = .625. Column 0 is (2.5/2, .625/2).
    purchases = sparse.csr_matrix(np.array([[1, 0, 0, 0, 0], [1, 1, 1, 1, 0]], np.float32))
    fusion = SpectralFusion(dim=5, regularization=1.0, user_power=1.0, popularity_power=1.0)
    result = fusion.fit(purchases)
    np.testing.assert_allclose(result.weights, [0.5, 1, 1, 1, 1])
    K = np.array([[1.25, 0, 0, 0, 0], [0.3125, 0.625, 0.625, 0.625, 0]])
    gram = K.T @ K
    np.testing.assert_allclose(
        result.vectors @ result.vectors.T, gram @ np.linalg.inv(gram + np.eye(5)), atol=1e-5
    )
    # User 1: half of item 0 and the three others, normalised.
    total = result.vectors.T @ [0.5, 1, 1, 1, 1]
    np.testing.assert_allclose(
        result.user_vectors(purchases)[1], total / np.linalg.norm(total), atol=1e-5
    )


@pytest.mark.parametrize("users", [5, 60])
def test_both_sides_of_the_decomposition_agree_with_ridge_regression(users):
    # 5 users + 6 text dims < 40 items: KK' is decomposed; 60 users: K'K.
    purchases, text = _purchases(users), _text()
    fusion = SpectralFusion(dim=40, regularization=3.0, text_weight=2.0, user_power=0.5)
    result = fusion.fit(purchases, text)
    counts = np.diff(purchases.indptr)
    X = (
        purchases.toarray()
        * (np.maximum(counts, 1) / np.median(counts[counts > 0]))[:, None] ** -0.5
    )
    known = purchases.toarray().any(axis=0)
    Z = text - text[known].mean(axis=0)
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    gram = X.T @ X + 2.0 * Z @ Z.T
    expected = gram @ np.linalg.inv(gram + 3.0 * np.eye(40))
    np.testing.assert_allclose(result.vectors @ result.vectors.T, expected, atol=1e-5)


def test_fewer_dims_are_the_leading_ones():
    purchases, text = _purchases(), _text()
    full = SpectralFusion(dim=46, regularization=3.0).fit(purchases, text)
    part = SpectralFusion(dim=5, regularization=3.0).fit(purchases, text)
    assert full.vectors.shape == (40, 46)
    np.testing.assert_allclose(part.vectors, full.vectors[:, :5], atol=1e-5)


def test_randomised_decomposition_finds_the_same_vectors(monkeypatch):
    generator = np.random.default_rng(0)
    taste = generator.random((400, 6)) @ generator.random((6, 300))
    purchases = sparse.csr_matrix((taste > np.quantile(taste, 0.9)).astype(np.float32))
    text = _text(300, 12)
    fusion = SpectralFusion(dim=8, regularization=20.0)
    exact = fusion.fit(purchases, text).vectors
    monkeypatch.setattr(spectral_factors, "_EXACT_ROWS", 50)
    found = fusion.fit(purchases, text).vectors
    np.testing.assert_allclose(found, exact, atol=1e-3)
    np.testing.assert_array_equal(found, fusion.fit(purchases, text).vectors)


def test_users_and_items_without_events_do_not_disturb():
    purchases, text = _purchases(), _text()
    wide = sparse.vstack([purchases, sparse.csr_matrix((3, 40), dtype=np.float32)]).tocsr()
    fusion = SpectralFusion(dim=10, popularity_power=0.5)
    np.testing.assert_allclose(
        fusion.fit(wide, text).vectors, fusion.fit(purchases, text).vectors, atol=1e-6
    )
    cold = purchases.tolil()
    cold[:, :5] = 0
    result = fusion.fit(cold.tocsr(), text)
    assert np.isfinite(result.vectors).all()
    assert np.isfinite(result.weights).all()
    assert (np.linalg.norm(result.vectors[:5], axis=1) > 0).all()
    assert not result.user_vectors(wide)[60:].any()


def test_bad_input():
    purchases, text = _purchases(), _text()
    for call, message in (
        (lambda: SpectralFusion(dim=0), "dim: must be a positive integer. Received: 0"),
        (lambda: SpectralFusion(regularization=0), "regularization: must be above 0"),
        (lambda: SpectralFusion(text_weight=-1), "text_weight: must be 0 or more"),
        (lambda: SpectralFusion(user_power=float("inf")), "user_power: must be a finite number"),
        (lambda: SpectralFusion().fit(purchases * 0), "interactions: no events"),
        (lambda: SpectralFusion().fit(purchases, text[:3]), r"one row per item.*\(40\).* 3 rows"),
        (lambda: SpectralFusion().fit(purchases, text, [True]), "mask 1"),
        (lambda: SpectralFusion().fit(purchases, text * np.nan), "NaN or infinity"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_config_rebuilds_it():
    config = SpectralFusion(dim=7, text_weight=3.0, seed=2).get_config()
    assert SpectralFusion(**config).get_config() == config


def _random_split(folder, seed):
    """Training and test pairs of ratings of 4 and more, 20 % for the test, as csr matrices."""
    items = pd.read_parquet(folder / "items.parquet")
    events = pd.read_parquet(folder / "interactions.parquet").query("rating >= 4")
    users, names = pd.factorize(events["user_id"])
    columns = pd.Index(items["item_id"]).get_indexer(events["item_id"])
    pairs = np.unique(np.stack([users, columns], axis=1), axis=0)
    test = np.random.default_rng(seed).permutation(len(pairs)) < 0.2 * len(pairs)
    return [
        sparse.csr_matrix(
            (np.ones(len(part), np.float32), (part[:, 0], part[:, 1])),
            shape=(len(names), len(items)),
        )
        for part in (pairs[~test], pairs[test])
    ]


def _ndcg(result, train, test, k=10):
    """Mean NDCG@k over users with both kinds of events; all items but the training ones rank."""
    users = np.flatnonzero((np.diff(train.indptr) > 0) & (np.diff(test.indptr) > 0))
    vectors = result.user_vectors(train)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ndcg = []
    for user in users:
        scores = result.vectors @ vectors[user]
        scores[train[user].indices] = -np.inf
        top = np.argsort(-scores, kind="stable")[:k]
        relevant = test[user].indices
        ndcg.append(discounts @ np.isin(top, relevant) / discounts[: len(relevant)].sum())
    return float(np.mean(ndcg))


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("name", "parameters", "least"),
    [("books", {}, 0.315), ("movies", {"dim": 512, "popularity_power": 0.25}, 0.270)],
)
def test_untrained_ranking_on_real_data(real_data, name, parameters, least):
    folder = real_data(name)
    train, test = _random_split(folder, seed=0)
    text = np.load(folder / "minilm_384.npy")
    assert _ndcg(SpectralFusion(**parameters).fit(train, text), train, test) >= least
