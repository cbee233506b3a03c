import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfrec_fusion.embeddings import VectorStore
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import StagedFiles, alone, check_new_file, new_file, new_folder

OLD, NEW = np.ones((2, 3)), np.full((3, 3), 2.0)
STEPS = [(os, "replace"), (os, "fsync"), (shutil, "rmtree")]


class Fault:
    """Raises at the n-th of the steps that change the disk."""

    def __init__(self, monkeypatch, at: int):
        self.left = at
        for module, name in STEPS:
            monkeypatch.setattr(module, name, self._counted(getattr(module, name)))

    def _counted(self, function):
        def step(*arguments, **keywords):
            self.left -= 1
            if self.left == 0:
                raise OSError(28, "No space left on device")
            return function(*arguments, **keywords)

        return step


def test_a_failing_step_leaves_the_old_store_or_the_new_one(tmp_path, monkeypatch):
    path = tmp_path / "store"
    outcomes = []
    for at in range(1, 100):
        VectorStore.write(path, ["a", "b"], OLD)
        with monkeypatch.context() as patch:
            fault = Fault(patch, at)
            try:
                VectorStore.write(path, ["x", "y", "z"], NEW)
            except OSError:
                pass
            else:
                if fault.left > 0:
                    break
        outcomes.append(len(VectorStore.open(path)))
        assert not [name for name in os.listdir(tmp_path) if ".tmp-" in name]
    assert set(outcomes) == {2, 3}
    assert outcomes == sorted(outcomes), "once the new store is in place it must stay"


KILLED = """
import json, os, shutil, signal, sys
import numpy as np
from tfrec_fusion.embeddings import VectorStore

path, found = sys.argv[1], []
for at in range(1, 100):
    VectorStore.write(path, ["a", "b"], np.ones((2, 3)))
    child = os.fork()
    if child == 0:
        left = [at]
        def counted(function):
            def step(*arguments, **keywords):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **keywords)
            return step
        os.replace, os.fsync = counted(os.replace), counted(os.fsync)
        shutil.rmtree = counted(shutil.rmtree)
        VectorStore.write(path, ["x", "y", "z"], np.full((3, 3), 2.0))
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    store = VectorStore.open(path)
    found.append([len(store), float(store.values().mean())])
    if not killed:
        break
print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_step_leaves_the_old_store_or_the_new_one(tmp_path):
    path = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert all(pair in ([2, 1.0], [3, 2.0]) for pair in found)
    assert found[0] == [2, 1.0]
    assert found[-1] == [3, 2.0]
    assert len(found) > 8, "the steps were not counted"


def test_leftovers_of_killed_writers_are_removed_after_a_day(tmp_path):
    for name in (".store.tmp-1-elsewhere-old", ".store.tmp-1-elsewhere-live", ".store.tmp-notes"):
        (tmp_path / name).mkdir()
    for name in (".store.tmp-1-elsewhere-old", ".store.tmp-notes"):
        os.utime(tmp_path / name, (0, 0))
    VectorStore.write(tmp_path / "store", ["a", "b"], OLD)
    left = [".store.tmp-1-elsewhere-live", ".store.tmp-notes", "store"]
    assert sorted(os.listdir(tmp_path)) == left


def test_a_symbolic_link_keeps_pointing_at_the_store(tmp_path):
    VectorStore.write(tmp_path / "store", ["a", "b"], OLD)
    (tmp_path / "link").symlink_to("store")
    VectorStore.write(tmp_path / "link", ["x", "y", "z"], NEW)
    assert (tmp_path / "link").is_symlink()
    assert len(VectorStore.open(tmp_path / "store")) == 3


def test_an_error_inside_the_block_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), new_folder(tmp_path / "a" / "b") as folder:
        (folder / "file").write_text("x")
        raise RuntimeError
    assert os.listdir(tmp_path / "a") == []


def test_files_of_killed_writers_are_removed_by_the_next(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with new_file(tmp_path / "a [1].json") as file:
        file.write(b"1")
        (alive,) = tmp_path.iterdir()
        dead = alive.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-")
        for name in (dead, f".b.json.{dead.split('.')[-1]}", ".a [1].json.swp"):
            (tmp_path / name).touch()
        with new_file(tmp_path / "a [1].json") as other:
            other.write(b"2")
        assert (tmp_path / "a [1].json").read_bytes() == b"2"
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a [1].json", f".b.json.{dead.split('.')[-1]}", ".a [1].json.swp"}
    assert (tmp_path / "a [1].json").read_bytes() == b"1"


def test_files_staged_together_are_all_there_or_none(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), StagedFiles() as staged:
        for name in "ab":
            with staged.open(tmp_path / name) as file:
                file.write(b"new")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(InputError, match=r"exists and is not a file.*folder"),
        new_file(tmp_path / "folder"),
    ):
        pass
    assert (tmp_path / "folder").is_dir()


def test_the_permissions_of_a_file(tmp_path):
    with new_file(tmp_path / "a", 0o600) as file:
        file.write(b"")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def _hold_by_a_run(folder, lock):
    from tfrec_fusion.training import Run, RunConfig

    config = RunConfig.model_validate(
        {
            "data": {"items": "i.parquet", "interactions": "e.parquet"},
            "model": {"kind": "two_tower"},
        }
    )
    (folder / ".lock").symlink_to(lock)
    Run(folder, config).train()


def _hold_by_labels(folder, lock):
    from tfrec_fusion.deploy import label_versions

    (folder / "shop" / "1").mkdir(parents=True)
    (folder / ".deployment.lock").symlink_to(lock)
    label_versions(folder / "shop", stable=1)


def _hold_by_an_encoding(folder, lock):
    from tfrec_fusion.embeddings.journal import Journal

    (folder / ".store.encoding").mkdir()
    (folder / ".store.encoding" / "lock").symlink_to(lock)
    with Journal(folder / "store", "e", "f"):
        pass


@pytest.mark.parametrize("hold", [_hold_by_a_run, _hold_by_labels, _hold_by_an_encoding])
def test_a_lock_follows_no_link(tmp_path, hold):
    precious = tmp_path / "precious"
    precious.write_text("all of it")
    (tmp_path / "room").mkdir()
    with pytest.raises(InputError, match="symbolic link"):
        hold(tmp_path / "room", precious)
    assert precious.read_text() == "all of it"


def test_a_lock_truncates_nothing(tmp_path):
    (tmp_path / "precious").write_text("all of it")
    os.link(tmp_path / "precious", tmp_path / ".lock")
    with (
        alone(tmp_path / ".lock", "busy"),
        pytest.raises(InputError, match=r"busy. Received: .*in use"),
        alone(tmp_path / ".lock", "busy"),
    ):
        pass
    with alone(tmp_path / ".lock", "busy"):
        pass
    assert (tmp_path / "precious").read_text() == "all of it"


def test_whether_a_file_can_be_written_is_found_before(tmp_path, monkeypatch):
    check_new_file(tmp_path / "new" / "folder" / "a.json", "json")
    (tmp_path / "a.json").touch()
    check_new_file(tmp_path / "a.json", "json")
    monkeypatch.chdir(tmp_path)
    check_new_file("a.json", "json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(InputError, match=f"json: {tmp_path} cannot be written"):
        check_new_file("a.json", "json")


def test_a_folder_does_not_replace_a_file(tmp_path):
    (tmp_path / "model.json").write_text("kept")
    message = r"a file is there\. Received: .*model\.json"
    with pytest.raises(InputError, match=message), new_folder(tmp_path / "model.json"):
        raise AssertionError("begun")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [
        ("model.json", "kept")
    ]
