import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

_HERE = Path(__file__).parent


def _load(name):
    """A module beside this file, by its own name."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _HERE / f"{name}.py")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


for _name in ("rest_cases", "rest_tensor_cases", "grpc_cases", "server_process"):
    _load(_name)


@pytest.fixture(scope="session")
def server_process():
    """The class `ServerProcess`."""
    for module in ("uvicorn", "starlette", "tensorflow_serving"):
        pytest.importorskip(module, reason='needs ".[server]"')
    return _load("server_process").ServerProcess


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    """The `models.config` of the model of the conformance cases."""
    return _load("conformance_model").write(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def embedded(server_process, zoo, exported):
    """A server of the zoo and of the shop, for all tests of the session."""
    config = zoo.with_name("both.config")
    text = zoo.read_text().rstrip().removesuffix("}")
    shop = f'  config {{ name: "shop" base_path: "{exported.parent}" model_platform: "tensorflow" '
    config.write_text(text + shop + 'version_labels { key: "stable" value: 1 } }\n}\n')
    feedback = zoo.with_name("feedback")
    with server_process("--model-config-file", config, "--feedback-dir", feedback) as server:
        yield server


@pytest.fixture(scope="session")
def addresses(request):
    """Of REST and gRPC: those of the environment, or of the embedded server.

    TFREC_CONFORMANCE_REST and TFREC_CONFORMANCE_GRPC are those of a server of
    conformance_model.py's folder, e.g. "http://localhost:8501" and "localhost:8500".
    """
    rest = os.environ.get("TFREC_CONFORMANCE_REST")
    rpc = os.environ.get("TFREC_CONFORMANCE_GRPC")
    if rest or rpc:
        return SimpleNamespace(rest=rest, grpc=rpc, embedded=False)
    embedded = request.getfixturevalue("embedded")
    return SimpleNamespace(rest=embedded.rest, grpc=embedded.grpc, embedded=True)
