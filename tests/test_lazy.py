import sys

import pytest

import tfrec_fusion
from tfrec_fusion._lazy import attach


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `shop` with one lazy name and one lazy submodule."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from tfrec_fusion._lazy import attach\n"
        "__getattr__, __dir__, __all__ = attach(__name__, {'Till': 'till'}, ['stock'])\n"
    )
    (folder / "till.py").write_text("class Till: pass\n")
    (folder / "stock.py").write_text("count = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    import shop

    yield shop
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def test_a_name_is_imported_when_first_used(package):
    assert "shop.till" not in sys.modules
    till = package.Till
    assert till is sys.modules["shop.till"].Till
    assert vars(package)["Till"] is till
    assert package.stock.count == 3


def test_all_and_dir_list_the_names_before_they_are_used(package):
    assert package.__all__ == ["Till", "stock"]
    assert {"Till", "stock", "__name__"} <= set(dir(package))
    assert "shop.till" not in sys.modules


def test_from_import_and_star(package):
    namespace = {}
    exec("from shop import *", namespace)
    assert namespace["Till"] is package.Till
    with pytest.raises(ImportError, match="Nope"):
        exec("from shop import Nope", {})


def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="module 'shop' has no attribute 'Nope'"):
        package.Nope  # noqa: B018


def test_a_name_equal_to_its_file_is_refused():
    with pytest.raises(ValueError, match=r"rename the file. Received: \['export'\]"):
        attach("shop", {"export": "export"})


def test_the_rooms_are_public():
    assert set(tfrec_fusion.__all__) == {
        "auto",
        *("client", "data", "deploy", "embeddings", "evaluation", "examples", "export"),
        *("features", "layers", "losses", "metrics", "models", "monitoring", "optimizers"),
        *("pipelines", "rerank", "retrieval", "training"),
    }


@pytest.mark.parametrize("room", tfrec_fusion.__all__)
def test_every_public_name_of_a_room_resolves(room):
    room = getattr(tfrec_fusion, room)
    for name in getattr(room, "__all__", []):
        assert getattr(room, name) is not None
