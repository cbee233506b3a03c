import numpy as np
import pytest

from tfrec_fusion.evaluation import Report


@pytest.fixture
def report_of():
    def report_of(name="model", ndcg=0.25, split="temporal", users=4, intervals=True):
        """Every number is chosen; nothing is computed."""
        per_user = {"ndcg@10": np.full(users, ndcg), "recall@10": np.full(users, 0.5)}
        total = {"ndcg@10": ndcg, "recall@10": 0.5, "hr@10": 0.75, "mrr@10": 0.125}
        return Report(
            name=name,
            k=(10,),
            metrics={
                "total": {**total, "coverage@10": 0.0625},
                "cold": dict.fromkeys(total, float("nan")),
            },
            intervals={"total": {"ndcg@10": (0.2, 0.3)} if intervals else {}, "cold": {}},
            counts={"total": {"users": users, "targets": 1234}, "cold": {"users": 0, "targets": 0}},
            slice_users={"total": np.arange(users), "cold": np.arange(0)},
            slice_per_user={"total": per_user, "cold": {}},
            split=split,
            bootstrap=1000,
            seed=0,
            seconds=1.5,
        )

    return report_of
