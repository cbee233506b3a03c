"""A run's config, trained at several origins."""

import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.training import Run, evaluate_origins


@pytest.mark.slow
def test_an_origin_at_the_split_of_a_run_trains_the_same_model(config, tmp_path):
    run = Run.start(tmp_path / "run", config(epochs=1, seed=3))
    assert not (run.folder / "origins").exists()
    report = evaluate_origins(run, origins=1, test=0.1, progress=False)
    run.train()
    assert report.windows[0].start == run.split.time
    expected = run.evaluate()
    assert report.names == [expected.name]
    found = report.metrics[expected.name]["total"]
    assert found == pytest.approx(expected.metrics["total"], abs=1e-4)
    # The next call reads what is there, and a new run in the folder removes it.
    again = evaluate_origins(run, origins=1, test=0.1, progress=False)
    assert again.to_dict() == report.to_dict()
    assert [path.name for path in run.origins.iterdir()] != []
    Run.start(run.folder, config(epochs=1, seed=4), overwrite=True)
    assert not run.origins.exists()


def test_what_cannot_be_trained_at_origins(config, tmp_path):
    for kind in ("ranker", "auto"):
        run = Run(tmp_path / kind, config(model={"kind": kind}, batch_size=None, epochs=None))
        with pytest.raises(InputError, match=rf"for one model that ranks .*Received: .*'{kind}'"):
            evaluate_origins(run)
    later = Run(tmp_path / "later", config(from_run=str(tmp_path / "run")))
    with pytest.raises(InputError, match="may have seen the tested events"):
        evaluate_origins(later)
