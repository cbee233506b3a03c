"""Each model with each option of an export: it works, or one line says why not."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import ParityLimits, export
from tfrec_fusion.features import State
from tfrec_fusion.models import AlphaRec, Ranker, TwoTower

N_ITEMS, START = 12, 1.6e9
ITEMS = pd.DataFrame(
    {"item_id": [f"i{i}" for i in range(N_ITEMS)], "kind": ["a", "b"] * 6, "price": range(N_ITEMS)}
)


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user_id": np.repeat([f"u{u}" for u in range(8)], 5)})
    frame["item_id"] = [f"i{i}" for u in range(8) for i in rng.permutation(N_ITEMS)[:5]]
    frame["timestamp"] = START + rng.integers(0, 100, len(frame)) * 86400.0
    text = rng.normal(size=(N_ITEMS, 4)).astype(np.float32)
    events = Interactions.from_frame(frame, Catalogue(ITEMS, {"text": text}))
    return events.split("temporal", test=0.2)


@pytest.fixture(scope="module")
def models(split):
    return {
        "two_tower": TwoTower(split.train, dim=4, trend_dim=2, user="both"),
        "ranker": Ranker(split.train, dim=4, hidden=[4], cross_layers=1, user="both"),
        "alpha_rec": AlphaRec(split.train, dim=4, hidden=4),
    }


WIDE = ParityLimits(overlap_10=0.0, overlap_100=0.0, ndcg_loss=1.0)
# What an export is asked for, and which models refuse it.
OPTIONS = {
    "plain": ({}, ()),
    "bfloat16": ({"precision": "bfloat16", "limits": WIDE}, ()),
    "float16": ({"precision": "float16", "limits": WIDE}, ()),
    "int8": ({"precision": "int8", "limits": WIDE}, ()),
    "held_out": ({"precision": "int8", "limits": WIDE, "held_out": True}, ()),
    "limits": ({"limits": WIDE}, ("two_tower", "ranker", "alpha_rec")),
    "at": ({"at": START + 50 * 86400}, ()),
    "items": ({"items": ITEMS.assign(title="new")}, ()),
    "filters": ({"filters": ["kind"]}, ("ranker",)),
    "rules": ({"rules": {"boost": [{"match": {"kind": "a"}, "factor": 1.5}]}}, ("ranker",)),
    "explain": ({"explain": True}, ("ranker", "alpha_rec")),
    "explain, int8": (
        {"explain": True, "precision": "int8", "limits": WIDE},
        ("ranker", "alpha_rec"),
    ),
    "deployment": ({"deployment": True}, ()),
}


# Written in every run of the tests, as is what is refused; and in the slow ones.
_QUICK = [("ranker", "plain")]
_SLOW = [
    *(("two_tower", "deployment"), ("two_tower", "int8")),
    *(("ranker", "int8"), ("alpha_rec", "plain")),
]


def _cases():
    for kind in ("two_tower", "ranker", "alpha_rec"):
        for option, (_, refusing) in OPTIONS.items():
            quick = kind in refusing or (kind, option) in _QUICK
            slow = (kind, option) in _SLOW
            mark = pytest.mark.slow if slow else pytest.mark.acceptance
            yield pytest.param(kind, option, marks=[] if quick else [mark])


@pytest.mark.parametrize(("kind", "option"), _cases())
def test_it_works_or_is_refused_in_one_line(models, split, tmp_path, kind, option):
    options, refusing = OPTIONS[option]
    options = {"deployment": False} | options
    if "held_out" in options:
        options["held_out"] = split
    if options["deployment"]:
        pytest.importorskip("tensorflow_serving")
    base = tmp_path / "models" / "shop"
    if kind in refusing:
        with pytest.raises(InputError) as refused:
            export(models[kind], split.train, base, **options)
        assert "\n" not in str(refused.value) and str(refused.value).startswith("export: ")
        assert not base.exists() or not any(base.iterdir())
        return
    version = export(models[kind], split.train, base, **options)
    signatures = tf.saved_model.load(str(version)).signatures
    asked = {"user_id": tf.constant(["u0", "nobody"]), "item_id": tf.constant([["i1", "i2"]] * 2)}
    past = {"history": tf.fill([2, 0], ""), "history_age": tf.zeros([2, 0])}
    if kind == "ranker":
        asked |= past
    served = signatures["score"](**asked)["score"].numpy()
    assert served.shape == (2, 2) and np.isfinite(served).all()
    if option == "at":
        return
    expected = models[kind].scorer(State.of(split.train))(split.train.users.rows(["u0"]))[:, 1:3]
    exact = options.get("precision", "float32") == "float32"
    np.testing.assert_allclose(served[:1], expected, atol=1e-5 if exact else 0.05)
    if options.get("explain"):
        shares = signatures["explain"](**asked, **past)
        parts = [v for name, v in shares.items() if name != "score"]
        np.testing.assert_allclose(tf.add_n(parts), shares["score"], atol=1e-4)


def test_another_model_is_refused(split, tmp_path):
    with pytest.raises(InputError, match=r"must be one of tfrec_fusion\.models.* Received: str"):
        export("model", split.train, tmp_path / "shop")
