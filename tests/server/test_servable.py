import gc
import json
import weakref

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.server.servable import Servable, check_whole


@pytest.fixture(scope="module")
def servable(exported):
    servable = Servable("shop", 1, exported)
    yield servable
    servable.retire()


@pytest.fixture
def version(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "items.txt").write_text("a\nb\n")
    (tmp_path / "model_card.json").write_text(json.dumps({"data": {"items": 2, "users": 7}}))
    return tmp_path


def test_it_answers_as_the_model_does(servable, reference):
    ids = ["item4", "no such item"]
    inputs = {"item_id": np.array([item.encode() for item in ids], object)}
    found = servable.run("item_vector", inputs)
    for vector, item in zip(found["vector"], ids, strict=True):
        np.testing.assert_allclose(vector, reference.item(item), atol=1e-5)


def test_wanted_outputs_only(servable):
    inputs = {"user_id": np.array([b"nobody"], object)}
    assert set(servable.run("serving_default", inputs)) == {"item_id", "score"}
    found = servable.run("serving_default", inputs, ("item_id",))
    assert set(found) == {"item_id"}
    assert found["item_id"].dtype == object


@pytest.mark.slow
def test_its_memory_waits_for_no_garbage_collector(exported):
    servable = Servable("shop", 1, exported)
    servable.run("item_vector", {"item_id": np.array([b"item4"], object)})
    session = weakref.ref(servable._session)
    gc.disable()
    try:
        servable.retire()
        del servable
        assert session() is None
    finally:
        gc.enable()


def test_an_output_that_is_an_input_or_comes_twice(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        given = tf.compat.v1.placeholder(tf.int32, [None])
        more = given + 1
        outputs = {"same": given, "more": more, "again": more}
        tf.compat.v1.saved_model.simple_save(session, str(tmp_path / "1"), {"x": given}, outputs)
    servable = Servable("echo", 1, tmp_path / "1")
    found = servable.run("serving_default", {"x": np.array([1, 2], np.int32)})
    assert {k: v.tolist() for k, v in found.items()} == {
        "same": [1, 2],
        "more": [2, 3],
        "again": [2, 3],
    }
    servable.retire()


def test_a_whole_version(version):
    check_whole(version)
    (version / "assets" / "items.txt").unlink()
    check_whole(version)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("assets/items.txt", "a\n", "items.txt has 1 lines; 2 expected"),
        ("assets/items.txt", "a\nb", "items.txt has 1 lines; 2 expected"),
        ("model_card.json", '{"data": {"items"', "model_card.json cannot be read"),
        ("model_card.json", "[]", "model_card.json cannot be read"),
    ],
)
def test_what_is_cut_short(version, name, text, says):
    (version / name).write_text(text)
    with pytest.raises(StatusError, match=says) as caught:
        check_whole(version)
    assert caught.value.code == "DATA_LOSS"


@pytest.mark.parametrize("graph", [None, b"", b"garbage"])
def test_what_is_no_model(tmp_path, graph):
    if graph is not None:
        (tmp_path / "saved_model.pb").write_bytes(graph)
    with pytest.raises(StatusError):
        Servable("shop", 1, tmp_path)


def test_it_is_free_after_its_last_request(servable):
    """Last, since it ends the one that all tests share."""
    assert servable.acquire() and servable.acquire()
    servable.retire()
    servable.retire()
    assert not servable.acquire()
    # Who has it may still count in more, for what goes on without them.
    servable.hold()
    servable.release()
    servable.release()
    assert not servable.closed
    servable.release()
    assert servable.closed
