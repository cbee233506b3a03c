import threading
from types import SimpleNamespace

import pytest

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.server.model_config import ModelConfig
from tfrec_fusion.server.model_versions import ModelVersions
from tfrec_fusion.server.servable import Servable


class Loaded(Servable):
    """A version that holds no model; its file says whether it can be loaded."""

    def __init__(self, name, version, path):
        text = (path / "model").read_text()
        if text.startswith("bad"):
            raise StatusError("DATA_LOSS", text)
        if text == "bug":
            raise RuntimeError("bug")
        self.name, self.version, self.path = name, version, path
        self._lock, self._users, self._retired = threading.Lock(), 0, False
        self._closed = threading.Event()
        self._session = SimpleNamespace(close=lambda: None)


@pytest.fixture
def base(tmp_path):
    return tmp_path / "shop"


@pytest.fixture
def write(base):
    def write(version, text="good"):
        folder = base / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model").write_text(text)

    return write


def versions(base, **policy):
    events = []
    model = ModelVersions(
        ModelConfig("shop", base, **policy),
        lambda event, **fields: events.append((event, fields.get("version"))),
        Loaded,
    )
    model.events = events
    return model


def states(model):
    return {version: state.state for version, state in model.states.items()}


def test_the_latest_is_loaded_and_the_one_before_it_goes(base, write):
    write(1)
    model = versions(base)
    assert model.update(settle=False)
    assert model.available == [1]
    write(2)
    # Its files have to be the same at two looks.
    assert not model.update()
    assert model.available == [1]
    assert model.update()
    assert model.available == [2]
    assert states(model) == {2: "AVAILABLE", 1: "END"}
    assert [event for event, _ in model.events] == ["loading", "available"] * 2 + ["unloaded"]


def test_a_version_goes_after_its_last_request(base, write):
    write(1)
    model = versions(base)
    model.update(settle=False)
    held = model.acquire(None)
    write(2)
    model.update(settle=False)
    assert states(model) == {2: "AVAILABLE", 1: "UNLOADING"}
    assert not held.closed
    assert model.acquire(1) is None
    assert model.acquire(None).version == 2
    held.release()
    assert held.closed
    model.update()
    assert states(model)[1] == "END"


def test_a_broken_version_is_refused_while_the_old_one_stays(base, write):
    write(1)
    model = versions(base)
    model.update(settle=False)
    write(2, "bad")
    while not model.update():
        pass
    assert model.available == [1]
    assert (model.states[2].state, str(model.states[2].error)) == ("END", "DATA_LOSS: bad")
    before = len(model.events)
    model.update()
    assert len(model.events) == before
    # It is tried again when it has changed.
    write(2)
    while not model.update():
        pass
    assert model.available == [2]


def test_a_bug_of_the_loader_is_an_error_of_the_version(base, write):
    write(1, "bug")
    model = versions(base)
    model.update(settle=False)
    assert str(model.states[1].error) == "INTERNAL: RuntimeError: bug"


def test_at_the_start_the_latest_that_is_whole_is_loaded(base, write):
    write(1)
    write(2)
    write(3, "bad")
    model = versions(base)
    while not model.update(settle=False):
        pass
    assert model.available == [2]
    assert states(model) == {3: "END", 2: "AVAILABLE"}


def test_a_version_that_is_still_being_written_is_left_alone(base, write):
    write(1)
    model = versions(base)
    model.update(settle=False)
    for length in range(3):
        write(2, "good" + " " * length)
        assert not model.update()
        assert model.available == [1]
    model.update()
    assert model.available == [2]


def test_a_version_that_changes_while_it_is_loaded_is_not_used(base, write):
    write(1)
    model = versions(base)
    model._load = lambda *about: (write(1, "good again"), Loaded(*about))[1]
    model.update(settle=False)
    assert model.available == []
    assert model.states[1].error.code == "ABORTED"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, [3]),
        ({"latest": 2}, [2, 3]),
        ({"latest": None}, [1, 2, 3]),
        ({"latest": None, "specific": (1, 3, 7)}, [1, 3]),
    ],
)
def test_policies(base, write, policy, expected):
    for version in (1, 2, 3):
        write(version)
    model = versions(base, **policy)
    model.update(settle=False)
    assert model.available == expected


def test_what_is_loaded_stays_when_its_folder_goes(base, write, tmp_path):
    write(1)
    model = versions(base)
    model.update(settle=False)
    (base / "1").rename(base / "old")
    model.update()
    assert model.available == [1]
    base.rename(tmp_path / "elsewhere")
    model.update()
    assert model.available == [1]


def test_a_renamed_version_is_another_one(base, write):
    write(1)
    model = versions(base)
    model.update(settle=False)
    (base / "1").rename(base / "7")
    while not model.update():
        pass
    assert model.available == [7]


@pytest.mark.slow
def test_requests_while_versions_change(base, write):
    """Each gets a version that is loaded until it lets go."""
    write(1)
    model = versions(base)
    model.update(settle=False)
    wrong, ended = [], threading.Event()

    def ask():
        while not ended.is_set():
            found = model.acquire(None)
            if found is None or found.closed:
                wrong.append(found)
            else:
                found.release()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in range(2, 40):
        write(version)
        model.update(settle=False)
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert model.available == [39]
