import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfrec_fusion.embeddings import VectorStore, atomic

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
    for name in (".store.tmp-old", ".store.tmp-live"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / ".store.tmp-old", (0, 0))
    VectorStore.write(tmp_path / "store", ["a", "b"], OLD)
    assert sorted(os.listdir(tmp_path)) == [".store.tmp-live", "store"]


def test_a_symbolic_link_keeps_pointing_at_the_store(tmp_path):
    VectorStore.write(tmp_path / "store", ["a", "b"], OLD)
    (tmp_path / "link").symlink_to("store")
    VectorStore.write(tmp_path / "link", ["x", "y", "z"], NEW)
    assert (tmp_path / "link").is_symlink()
    assert len(VectorStore.open(tmp_path / "store")) == 3


def test_an_error_inside_the_block_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic.new_folder(tmp_path / "a" / "b") as folder:
        (folder / "file").write_text("x")
        raise RuntimeError
    assert os.listdir(tmp_path / "a") == []
