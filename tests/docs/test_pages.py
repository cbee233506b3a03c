"""The Python code of the pages runs as it stands."""

import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from tfrec_fusion._compat import tf
from tfrec_fusion.embeddings import VectorStore
from tfrec_fusion.features import State
from tfrec_fusion.models import SASRec, SequenceTower

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = {
    f"{page.stem} {number}": code
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    )
}
NOT_RUN = {
    "encoders 0": "downloads a model",
    "explain 1": "needs a server",
    "server 0": "runs a server",
    "serving 1": "needs a server",
    "serving 2": "needs a server",
    "serving 3": "needs a server",
    "serving 5": "needs a server",
    "serving 7": "needs a server",
    "serving 8": "needs a server with a key",
    "training 0": "run by tests/training/test_guide.py",
}
# Of the retail shop on the page -> of the tests' shop
IDS = {"13085": "u17", "22423": "i3", "85123A": "i4"}


def run(block, names):
    code = BLOCKS[block]
    for theirs, ours in IDS.items():
        code = code.replace(f'"{theirs}"', f'"{ours}"')
    # A class of the page is known by its module, as in a user's script.
    name = f"page_{block.replace(' ', '_')}"
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(names)
    exec(compile(code, block, "exec"), vars(module))
    return vars(module)


@pytest.mark.slow
def test_the_script_of_the_readme(in_shop, capsys):
    names = run("README 0", {})
    assert "ndcg@10" in capsys.readouterr().out
    assert (in_shop / "saved_models/shop/1/saved_model.pb").is_file()
    assert names["model"].optimizer.iterations == 2 * len(names["batches"])


def test_steps_on_stored_vectors(in_shop):
    ids = [f"i{row}" for row in range(200)]
    vectors = np.random.default_rng(0).normal(size=(200, 384)).astype(np.float32)
    shutil.rmtree("vectors/minilm")
    VectorStore.write("vectors/minilm", ids, vectors, encoder="words")
    store = run("encoders 1", {"training_item_ids": ids})["store"]
    assert store.dims == 128


def test_repeated_events(in_shop, trained_shop):
    split = run("events 0", {"tff": trained_shop["tff"]})["split"]
    assert len(split.train) + len(split.test) == 900


@pytest.mark.slow
def test_origins(in_shop, trained_shop, capsys):
    names = run("evaluation 0", {name: trained_shop[name] for name in ("tff", "events")})
    assert len(names["report"].windows) == 2
    assert "minus recent" in capsys.readouterr().out
    assert len(list((in_shop / "origins/shop").glob("origin-*/*.npz"))) == 6


def test_classic_models(trained_shop):
    model = run("classic 0", {"split": trained_shop["split"]})["model"]
    assert model.name == "LightGCN" and model.scores.vectors.shape[1] == 64


@pytest.mark.slow
def test_search(in_shop, shop_names):
    run("search 0", shop_names)
    run("search 1", shop_names)
    names = run("search 2", shop_names)
    assert names["found"].optimizer.iterations == 6 * len(names["examples"])
    run("search 3", names)
    tff = names["tff"]
    for folder in ("shop", "words", "chosen"):
        assert tff.export.Recommender(f"saved_models/{folder}").search("thing 7")[0][0] == "i7"


def test_types_of_events(in_shop, trained_shop):
    tff, frame = trained_shop["tff"], pd.read_parquet("interactions.parquet")
    frame["event"] = np.resize(["view", "cart", "buy"], len(frame))
    names = {
        "tff": tff,
        "frame": frame,
        "catalogue": tff.data.Catalogue.from_parquet("items.parquet"),
    }
    events = run("events 1", names)["events"]
    assert len(events.target_events()) == 600


def test_shares(shop_names):
    frame = run("explain 0", shop_names)["frame"]
    parts = frame[["id", "text", "context", "bias"]].sum(axis=1)
    np.testing.assert_allclose(parts, frame["score"], rtol=1e-4, atol=1e-5)


def test_a_fusion_of_ones_own(shop_names):
    model = run("fusion 0", shop_names)["model"]
    assert type(model.tower.fusion).__name__ == "LongestFusion"


def test_features_of_items_and_users():
    names = run("features 0", {})
    model = names["model"]
    of_context = run("features 1", names)
    assert of_context["aware"].spec.context_side.columns == ("device", "timestamp")
    knowing = run("features 2", of_context)["knowing"]
    assert knowing.spec.event_side.columns == ("event", "stars")
    assert run("features 3", names)["ranker"].optimizer.iterations == 1
    assert sorted(run("features 4", names)["gated"].tower.fusion.names) == ["features", "id"]
    assert model.spec.user_side.columns == ("country", "age")
    assert model.spec.item_side.width == 3


@pytest.mark.slow
def test_the_importance_of_features(capsys):
    run("features 5", run("features 0", {}))
    assert "brand" in capsys.readouterr().out


def test_a_loss_a_user_tower_and_a_backbone_of_ones_own(shop_names):
    parts = (
        run("own_parts 0", shop_names)["model"].objective,
        run("own_parts 1", shop_names)["model"].user_tower,
        run("own_parts 3", shop_names)["model"].backbone,
        run("own_parts 4", shop_names)["model"].backbone,
        run("own_parts 5", shop_names)["model"].backbone,
    )
    assert [type(part).__name__ for part in parts] == [
        "Hinge",
        "Latest",
        "Squares",
        "Nearest",
        "Sums",
    ]


@pytest.mark.slow
def test_ranking(shop_names):
    names = run("ranking 0", shop_names)
    assert names["model"].backbone.options["units"] == 16
    assert names["model"].optimizer.iterations == len(names["batches"])
    assert run("ranking 2", names)["report"].metrics["total"]["gauc"] > 0


@pytest.mark.slow
def test_calibrated_probabilities_and_positions(shop_names):
    names = run("ranking 3", run("ranking 0", shop_names))
    assert names["calibration"] is names["model"].calibration
    names = run("ranking 7", names)
    np.testing.assert_allclose(names["theta"], [1, 1 / 2, 1 / 3, 1 / 4], atol=0.1)
    assert run("ranking 8", names)["labels"].shape == (50, 10)


@pytest.mark.slow
def test_ensembles_and_students(in_shop, shop_names):
    names = run("ranking 4", run("ranking 0", shop_names))
    run("ranking 5", names)
    assert run("ranking 6", names)["student"].optimizer.iterations > 0
    assert (in_shop / "saved_models/ensemble/1/saved_model.pb").is_file()


@pytest.mark.slow
def test_heads_of_a_ranker(in_shop, shop_names):
    frame = pd.read_parquet("interactions.parquet")
    frame["label"] = np.resize([1.0, 0.0, 1.0], len(frame))
    frame["buy"] = frame["label"] * np.resize([0.0, 1.0], len(frame))
    frame["spend"] = frame["buy"] * np.resize([2.0, 5.0, 9.0], len(frame))
    frame.to_parquet("interactions.parquet")
    names = run("ranking 1", run("ranking 0", shop_names))
    assert {"buy_auc", "spend_loss"} <= set(names["history"])


@pytest.mark.slow
def test_a_head_of_ones_own(in_shop, shop_names):
    frame = pd.read_parquet("interactions.parquet")
    frame["views"] = np.resize([1.0, 3.0], len(frame))
    events = shop_names["tff"].data.Interactions.from_frame(
        frame, shop_names["shop"], labels=["views"]
    )
    names = {**shop_names, "split": events.split("temporal", test=0.2)}
    model = run("own_parts 6", names)["model"]
    assert type(model.heads["views"]).__name__ == "Count"


@pytest.mark.slow
def test_two_stages(shop_names, in_shop):
    from tfrec_fusion.examples import ranking_examples

    names = run("ranking 9", {**shop_names, "ranking_examples": ranking_examples})
    assert names["feed"].name == "Ranker over EASE"
    assert Path("feed", "two_stage.json").is_file()


@pytest.mark.slow
def test_several_losses(shop_names):
    assert run("training 1", shop_names)["history"].history["content_loss"][0] > 0
    model = run("training 2", shop_names)["model"]
    assert model.objective.weights == {"collaborative": 1.0, "content": 0.05, "sequence": 0.5}


def test_sequences(shop_names):
    tower = run("own_parts 2", shop_names)["Latest"]
    assert issubclass(tower, SequenceTower)
    model = run("sequences 0", shop_names)["model"]
    assert isinstance(model.user_tower, SASRec)
    assert model.optimizer.iterations == 10
    both = run("sequences 2", {**shop_names, "model": model})["both"]
    assert [*both.members] == ["tower", "linear"]


@pytest.mark.slow
def test_several_interests(shop_names):
    assert run("sequences 1", shop_names)["model"].interests == 4


def test_a_reranker_of_ones_own():
    reranker = run("serving 4", {})["CheapFirst"]()
    reranker.fit(SimpleNamespace(frame=pd.DataFrame({"price": [3.0, 1.0, 2.0]})), None)
    rows, scores = reranker(tf.constant([[0, 1, 2]]), tf.constant([[0.5, 0.0, 0.0]]), None)
    # 0.5 - 3, 0 - 1 and 0 - 2
    assert rows.numpy().tolist() == [[1, 2, 0]]
    assert scores.numpy().tolist() == [[-1.0, -2.0, -2.5]]


def test_a_classic_model_of_ones_own(shop_names):
    split = shop_names["split"]
    model = run("training 4", {})["BoughtTogether"]().fit(split.train)
    assert model.scorer(State.of(split.train))(np.array([0, 1])).shape == (2, 30)


def test_validation_chooses(shop_names, capsys):
    names = run("training 3", shop_names)
    assert any(name in names["found"].name for name in names["candidates"])
    assert names["model"].spec.n_items == 30


@pytest.mark.slow
def test_tuning(in_shop):
    pytest.importorskip("optuna", reason="the extra tune is not installed")
    assert run("tuning 0", {})["result"].value >= 0


@pytest.mark.slow
def test_blends(shop_names, in_shop, capsys):
    names = run("blend 0", shop_names)
    assert names["blend"].config.cold == "two_tower"
    assert "ndcg@10" in capsys.readouterr().out
    names = run("blend 1", names)
    assert names["choice"].table["taken"].any() and names["best"].spec.n_items == 30
    names = run("blend 2", names)
    assert [*names["choice"].table["model"]] == ["ease", "recent", "two_tower", "stack"]
    assert names["model"].spec.n_items == 30 and Path("stack", "stack.json").is_file()


def test_monitoring(exported_shop, in_shop, capsys):
    shutil.copytree(exported_shop / "1", "saved_models/shop/2")
    names = run("monitoring 0", {})
    assert len(names["requests"]) == 2
    assert names["report"].state in capsys.readouterr().out


@pytest.mark.slow
def test_the_deployment_files(shop_names, in_shop):
    pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')
    request = {
        "user_id": ["u17"],
        "history": [["i3"]],
        "history_age": [[2.5]],
        "exclude": [[]],
        "include": [[]],
        "exclude_seen": [True],
        "k": [5],
    }
    run("serving 0", {**shop_names, "requests_from_the_logs": [request]})
    written = yaml.safe_load_all((in_shop / "saved_models/kubernetes.yaml").read_text())
    assert 3 in [manifest["spec"].get("replicas") for manifest in written if manifest]


@pytest.mark.slow
def test_a_refresh(in_shop):
    from tfrec_fusion.training import Run, RunConfig

    Run.start("runs/shop", RunConfig.load("shop.yaml")).train()
    run("serving 6", {})
    run("serving 6", {})
    assert (in_shop / "saved_models/shop/2/saved_model.pb").is_file()


def test_every_block_is_run_or_says_why_not():
    source = Path(__file__).read_text(encoding="utf-8")
    tested = set(re.findall(r'run\("(.*?)"', source))
    assert tested | set(NOT_RUN) == set(BLOCKS)
    assert not tested & set(NOT_RUN)
