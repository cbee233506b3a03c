"""Imports follow the data: what is early on its way knows nothing of what comes later."""

import ast
from pathlib import Path

import pytest

import tfrec_fusion

_PACKAGE = Path(tfrec_fusion.__file__).parent

# Anyone may import these, and they import only each other.
_BASE = {"__init__", "_compat", "_lazy", "config", "disk", "errors", "files", "paths", "texts"}

_PARTS = {"layers", "losses", "metrics", "optimizers"}
_MODELS = {"models", "data", "embeddings"} | _PARTS

# room -> the rooms that it may import
_MAY_IMPORT = {
    "embeddings": set(),
    "data": {"embeddings"},
    "layers": set(),
    "losses": set(),
    "metrics": set(),
    "optimizers": set(),
    "models": _MODELS - {"models"},
    "retrieval": _MODELS,
    "evaluation": _MODELS | {"retrieval"},
    "training": _MODELS | {"retrieval", "evaluation"},
    "serving": _MODELS | {"retrieval", "evaluation"},
    "cli": _MODELS | {"retrieval", "evaluation", "training", "serving"},
}

_ONLY_IN_COMPAT = {
    "keras",
    "tensorflow",
    "tensorflow_addons",
    "tensorflow_recommenders",
    "tf_keras",
}
_NEVER_AT_MODULE_LEVEL = {"openai", "torch", "transformers", "wordllama"}


def _imports(path, package):
    """The imports of a file as (dotted names, line, whether inside a function)."""
    home = ["tfrec_fusion", *path.relative_to(package).parent.parts]

    def visit(node, inside):
        if isinstance(node, ast.Import):
            yield [alias.name for alias in node.names], node.lineno, inside
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = ".".join([*home[: len(home) - node.level + 1], *filter(None, [module])])
            yield [f"{module}.{alias.name}" for alias in node.names], node.lineno, inside
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


def _draw(package):
    """The graph {(room, imported room): [places]} and what is wrong with it."""
    graph, wrong = {}, []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        room = parts[0]
        if room not in _BASE | set(_MAY_IMPORT):
            wrong.append(f"{room}: a room that this test does not know; say what it may import")
            continue
        for names, line, inside in _imports(path, package):
            place = f"{'/'.join(parts)}.py:{line}"
            for name in names:
                root, _, rest = name.partition(".")
                if root in _ONLY_IN_COMPAT and room != "_compat":
                    wrong.append(f"{place}: imports {name}; take it from tfrec_fusion._compat")
                if root in _NEVER_AT_MODULE_LEVEL and not inside:
                    wrong.append(f"{place}: imports {name} at module level; use optional()")
                if root != "tfrec_fusion":
                    continue
                other = rest.partition(".")[0]
                if not other:
                    wrong.append(f"{place}: imports the whole package; import from the room")
                elif other in _MAY_IMPORT and other != room:
                    graph.setdefault((room, other), []).append(place)
                    if other not in _MAY_IMPORT.get(room, ()):
                        wrong.append(f"{place}: {room} -> {other} goes against the data's flow")
    return graph, wrong


def _show(graph):
    return "\n".join(
        f"  {room:>10} -> {other:<10} {places[0]}"
        + (f" and {len(places) - 1} more" if len(places) > 1 else "")
        for (room, other), places in sorted(graph.items())
    )


def test_imports_follow_the_datas_flow():
    graph, wrong = _draw(_PACKAGE)
    assert not wrong, "\n".join([*wrong, "", "the graph:", _show(graph)])


def test_the_rules_have_no_cycle():
    # Every room comes after all that it may import, so one order of all rooms exists.
    done = set()
    while ready := {r for r, others in _MAY_IMPORT.items() if r not in done and others <= done}:
        done |= ready
    assert done == set(_MAY_IMPORT)


@pytest.mark.parametrize(
    ("file", "code", "says"),
    [
        ("layers/a.py", "from tfrec_fusion.data import Catalogue", "layers -> data"),
        ("layers/a.py", "from tfrec_fusion import losses", "layers -> losses"),
        ("layers/a.py", "from ..data.split import Split", "layers -> data"),
        ("data/deep/a.py", "from ...models import TwoTower", "data -> models"),
        ("data/a.py", "def f():\n  import tfrec_fusion.models.two_tower", "data -> models"),
        ("serving/a.py", "from tfrec_fusion.training import TensorBoard", "serving -> training"),
        ("errors.py", "from tfrec_fusion.data import Split", "errors -> data"),
        ("models/a.py", "import tensorflow as tf", "imports tensorflow; take it from"),
        ("models/a.py", "def f():\n  from keras.layers import Dense", "imports keras.layers"),
        ("embeddings/a.py", "import torch.nn", "imports torch.nn at module level"),
        ("models/a.py", "import tfrec_fusion as tff", "imports the whole package"),
        ("shop/a.py", "", "shop: a room that this test does not know"),
    ],
)
def test_a_wrong_import_is_seen(file, code, says, tmp_path):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    _, wrong = _draw(tmp_path)
    assert len(wrong) == 1
    assert says in wrong[0]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("models/a.py", "from tfrec_fusion.layers import Fusion"),
        ("models/a.py", "from tfrec_fusion._compat import keras, tf\nfrom .b import c"),
        ("cli/a.py", "def f():\n  from tfrec_fusion import __version__, serving"),
        ("embeddings/a.py", "def f():\n  import torch"),
        ("_compat.py", "import tensorflow as tf"),
    ],
)
def test_a_right_import_passes(file, code, tmp_path):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    assert _draw(tmp_path)[1] == []
