"""Imports follow the data: what is early on its way knows nothing of what comes later."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.csgraph

import tfrec_fusion

_PACKAGE = Path(tfrec_fusion.__file__).parent

# Anyone may import these, and they import only each other.
_BASE = {
    "__init__",
    "_compat",
    "_lazy",
    "config",
    "disk",
    "errors",
    "files",
    "keras_registry",
    "paths",
    "progress",
    "registry",
    "signature",
    "texts",
    "times",
    "told_once",
}

# In the order of the data's way: a room imports what stands above it, never below.
_ROOMS = (
    "embeddings",
    "data",
    "features",
    "examples",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "retrieval",
    "models",
    "rerank",
    "pipelines",
    "evaluation",
    "training",
    "export",
    "deploy",
    "client",
    "server",
    "monitoring",
    "cli",
)

# Keras parts, which know neither tables nor models.
_ALONE = {"layers", "losses", "metrics", "optimizers"}

_ONLY_IN_COMPAT = {
    "keras",
    "tensorflow",
    "tensorflow_addons",
    "tensorflow_recommenders",
    "tf_keras",
}
_NEVER_AT_MODULE_LEVEL = {"openai", "optuna", "torch", "transformers", "wordllama"}


def _imports(path, package):
    """The imports of a file as (dotted names, line, whether inside a function).

    Those for type checkers alone are left out: they import nothing, so they may point anywhere.
    """
    home = ["tfrec_fusion", *path.relative_to(package).parent.parts]

    def visit(node, inside):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
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
        if room not in {*_BASE, *_ROOMS}:
            wrong.append(f"{room}: a room that this test does not know; say where it stands")
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
                elif other in _ROOMS and other != room:
                    graph.setdefault((room, other), []).append(place)
                    if room in {*_BASE, *_ALONE} or _ROOMS.index(other) > _ROOMS.index(room):
                        wrong.append(f"{place}: {room} -> {other} goes against the data's flow")
    return graph, wrong


def _file_graph(package):
    """Module -> the modules that it imports, names that a package imports lazily followed."""
    modules = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(["tfrec_fusion", *(part for part in parts if part != "__init__")])
        modules[name] = path
    graph = {name: set() for name in modules}
    for name, path in modules.items():
        for imported, _, _ in _imports(path, package):
            for target in imported:
                parent, _, attribute = target.rpartition(".")
                if target not in modules and parent in modules:
                    lazy = re.search(rf'"{attribute}": "([\w.]+)"', modules[parent].read_text())
                    target = f"{parent}.{lazy[1]}" if lazy else parent
                if target in modules and target != name:
                    graph[name].add(target)
    return graph


def _circles(graph):
    """Modules that import each other, over whatever way: the strongly connected parts."""
    order = {name: i for i, name in enumerate(graph)}
    matrix = scipy.sparse.lil_array((len(graph), len(graph)), dtype=np.int8)
    for name, targets in graph.items():
        for target in targets:
            matrix[order[name], order[target]] = 1
    _, labels = scipy.sparse.csgraph.connected_components(matrix, connection="strong")
    parts = {}
    for name, label in zip(graph, labels, strict=True):
        parts.setdefault(label, []).append(name)
    return [sorted(part) for part in parts.values() if len(part) > 1]


def _show(graph):
    return "\n".join(
        f"  {room:>10} -> {other:<10} {places[0]}"
        + (f" and {len(places) - 1} more" if len(places) > 1 else "")
        for (room, other), places in sorted(graph.items())
    )


def test_imports_follow_the_datas_flow():
    graph, wrong = _draw(_PACKAGE)
    assert not wrong, "\n".join([*wrong, "", "the graph:", _show(graph)])


def test_no_files_import_each_other():
    assert _circles(_file_graph(_PACKAGE)) == []


def test_a_circle_is_seen(tmp_path):
    for name, code in {
        "data/__init__.py": '{"Split": "split"}',
        "data/split.py": "def f():\n  from tfrec_fusion.data.events import Events",
        "data/events.py": "from tfrec_fusion.data import Split",
        "data/other.py": "from tfrec_fusion.data import Split",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    circles = _circles(_file_graph(tmp_path))
    assert circles == [["tfrec_fusion.data.events", "tfrec_fusion.data.split"]]


def test_no_room_holds_more_than_a_fifth_of_the_lines():
    lines = {
        room: sum(len(p.read_text().splitlines()) for p in (_PACKAGE / room).rglob("*.py"))
        for room in (*_ROOMS, "models/classic")
    }
    # The classic models are a room within the room.
    lines["models"] -= lines["models/classic"]
    shares = {room: count / sum(lines.values()) for room, count in lines.items()}
    assert max(shares.values()) < 0.2, shares


@pytest.mark.parametrize(
    ("file", "code", "says"),
    [
        ("layers/a.py", "from tfrec_fusion.data import Catalogue", "layers -> data"),
        ("layers/a.py", "from tfrec_fusion import losses", "layers -> losses"),
        ("layers/a.py", "from ..data.split import Split", "layers -> data"),
        ("data/deep/a.py", "from ...models import TwoTower", "data -> models"),
        ("data/a.py", "def f():\n  import tfrec_fusion.models.two_tower", "data -> models"),
        ("training/a.py", "from tfrec_fusion.export import export", "training -> export"),
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
        ("cli/a.py", "def f():\n  from tfrec_fusion import __version__, export"),
        (
            "data/a.py",
            "if TYPE_CHECKING:\n  from tfrec_fusion.models import TwoTower",
        ),
        ("embeddings/a.py", "def f():\n  import torch"),
        ("_compat.py", "import tensorflow as tf"),
    ],
)
def test_a_right_import_passes(file, code, tmp_path):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    assert _draw(tmp_path)[1] == []
