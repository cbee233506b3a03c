"""The code of the guide runs as it stands."""

import re
from pathlib import Path

import numpy as np

from tfrec_fusion.training import RunConfig
from tfrec_fusion.training.inputs import load_split

GUIDE = Path(__file__).parents[2] / "docs" / "training.md"


def test_validation(small_shop, capsys):
    data = {name: str(small_shop / f"{name}.parquet") for name in ("interactions", "items")}
    data["vectors"] = {"text": str(small_shop / "text.npy")}
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[0]
    names = {"split": load_split(RunConfig.of({"data": data}))}
    exec(compile(code, str(GUIDE), "exec"), names)
    logs = names["history"].history
    assert np.isfinite(logs["val_loss"]).all()
    # It stopped two epochs after the best one.
    epochs = len(logs["val_ndcg@10"])
    assert epochs == 20 or int(np.argmax(logs["val_ndcg@10"])) == epochs - 3
    assert "ndcg@10" in capsys.readouterr().out
