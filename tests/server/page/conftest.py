import io
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from tfrec_fusion.export import export

MARKUP = '<img src="x" onerror="alert(1)"> & more'
METRICS = {
    "split": "temporal",
    "slices": {
        "total": {
            "users": 25,
            "metrics": {"ndcg@10": 0.2, "recall@20": 0.5},
            "intervals": {"ndcg@10": [0.1, 0.3]},
        },
        "cold": {"users": 4, "metrics": {"ndcg@10": 0.05, "recall@20": None}},
    },
}


@pytest.fixture(scope="session")
def shop_items(events):
    """The catalogue with a category and a flag; one title looks like markup."""
    frame = events.catalogue.frame.copy()
    frame["category"] = np.where(np.arange(len(frame)) % 4 == 0, "käse & co", "other")
    frame["in_stock"] = np.arange(len(frame)) % 3 > 0
    frame.loc[5, "title"] = MARKUP
    return frame


@pytest.fixture(scope="session")
def page_models(exported, events, make_model, shop_items, ranker, tmp_path_factory):
    """Folders by name: a shop with filters, a boost and shares in its second version, a ranker."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(exported, folder / "shop" / "1")
    export(
        make_model(events),
        events,
        folder / "shop",
        filters=["category", "price", "in_stock"],
        rules={"boost": [{"match": {"category": "käse & co"}, "factor": 2.0}]},
        explain=True,
        items=shop_items,
        metrics=METRICS,
        config={"epochs": 3, "data": {"interactions": "/private/events.parquet"}},
    )
    shutil.copytree(ranker("all")[2], folder / "rank" / "1")
    return {"shop": folder / "shop", "rank": folder / "rank"}


@contextmanager
def served(app):
    """The address of an application, which a thread of this process serves."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def page_app(page_models):
    """The server's application with the page."""
    pytest.importorskip("uvicorn", reason='needs ".[server]"')
    pytest.importorskip("tensorflow_serving")
    from tfrec_fusion.server.limits import Limits
    from tfrec_fusion.server.logs import Log
    from tfrec_fusion.server.metrics import Metrics
    from tfrec_fusion.server.model_config import ModelConfig
    from tfrec_fusion.server.model_manager import ModelManager
    from tfrec_fusion.server.page.routes import page_routes
    from tfrec_fusion.server.predictor import Predictor
    from tfrec_fusion.server.rest.app import create_app

    labels = {"shop": {"stable": 1, "canary": 2}}
    models = [
        ModelConfig(name, base, latest=2, labels=labels.get(name, {}))
        for name, base in page_models.items()
    ]
    log = Log(stream=io.StringIO())
    manager = ModelManager(models, poll_seconds=0, log=log)
    manager.start()
    predictor = Predictor(manager, Limits(k=1000), Metrics(), log)
    yield create_app(predictor, log, page_routes(predictor))
    manager.stop()
    predictor.close()


@pytest.fixture(scope="session")
def page_address(page_app):
    with served(page_app) as address:
        yield address


@pytest.fixture
def closed_address(page_app):
    """Of the same with an API key, and the keys so far, of which the last one counts."""
    from tfrec_fusion.server.api_key import ApiKey, KeyedApp

    keys = ["a key"]

    async def app(scope, receive, send):
        await KeyedApp(page_app, ApiKey(keys[-1]))(scope, receive, send)

    with served(app) as address:
        yield address, keys
