"""A run whose ranker reads rates of labels."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.training.inputs import load_split
from tfrec_fusion.training.recipes import build_model, trained_model

MODEL = {"kind": "ranker", "dim": 4, "hidden": [4], "label_rates": True}


@pytest.mark.slow
def test_a_run_gives_its_examples_the_rates(config, tmp_path):
    data = config(model=MODEL).data.model_dump(exclude_defaults=True)
    # A third of the events are impressions.
    frame = pd.read_parquet(data["interactions"])
    frame = frame.assign(label=np.resize([1.0, 0.0, 1.0], len(frame)))
    frame.to_parquet(tmp_path / "shown.parquet")
    data["interactions"] = str(tmp_path / "shown.parquet")
    one = config(data=data, model=MODEL, examples={"kind": "ranking"}, epochs=1)
    train = load_split(one).train
    model = trained_model(one.resolved(train), train)
    assert model.spec.label_rates and model.optimizer.iterations > 0


def test_without_impressions_the_run_says_so(config):
    one = config(model=MODEL, examples={"kind": "ranking"}, epochs=1)
    train = load_split(one).train
    with pytest.raises(InputError, match=r"label_rates: no event has a label of 0 or less"):
        build_model(one.resolved(train), train)
