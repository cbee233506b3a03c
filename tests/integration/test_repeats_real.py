"""Repeated purchases on real data, from a run's config to the export."""

import numpy as np
import pytest

from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import PersonalFrequency
from tfrec_fusion.training import Run, RunConfig

pytestmark = pytest.mark.acceptance


def test_what_customers_buy_again_on_retail(real_data, tmp_path):
    folder = real_data("retail")
    config = RunConfig.of(
        {
            "data": {
                "interactions": str(folder / "interactions.parquet"),
                "items": str(folder / "items.parquet"),
                "vectors": {"text": str(folder / "minilm_384.npy")},
                "repeats": "all",
            },
        }
    )
    run = Run.start(tmp_path / "run", config)
    run.train()
    split = run.split
    assert split.repeats == "all"
    model, report = run.model(), run.evaluate()
    own = evaluate(PersonalFrequency().fit(split.train), split, bootstrap=0)
    assert report.metrics["total"]["ndcg@10"] > own.metrics["total"]["ndcg@10"] + 0.01
    assert report.counts["repeated"]["targets"] > 1000
    state = State.of(split.train)
    row = int(np.argmax(state.histories.lengths))
    user, ids = split.train.users.ids[row], split.train.catalogue.vocabulary.ids
    had = set(ids[state.histories.of(row)])
    served = Recommender(export(model, split.train, tmp_path / "shop", deployment=False))
    assert had & {item for item, _ in served.recommend(user, k=20)}
    assert not had & {item for item, _ in served.recommend(user, k=20, exclude_seen=True)}
