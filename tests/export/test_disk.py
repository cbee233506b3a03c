"""A full disk gives an error and leaves no version."""

import contextlib
import errno
import os
import resource

import pytest

from tfrec_fusion.export import Recommender, export, refresh
from tfrec_fusion.export.versions import versions

WRITERS = {"export": export, "refresh": refresh}


@contextlib.contextmanager
def no_file_beyond(size):
    """Writes of this process beyond so many bytes of a file fail, TensorFlow's too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _check_nothing_new(base, caught):
    assert caught.value.filename == str(base)
    assert "no version was written" in caught.value.strerror
    assert set(versions(base)) == {1}
    beside = sorted(path.name for path in base.parent.iterdir())
    assert [path.name for path in base.iterdir()] == ["1"]
    assert not [name for name in beside if name.startswith(".") and name != ".deployment.lock"]
    assert len(Recommender(base).recommend("ü 3", k=5)) == 5


@pytest.fixture(scope="module")
def base(tmp_path_factory, model, events):
    base = tmp_path_factory.mktemp("disk") / "shop"
    export(model, events, base)
    return base


# 100 bytes hold none of the files of ids, 500 not the variables, 100,000 not the graph.
@pytest.mark.parametrize(
    "size", [*(pytest.param(size, marks=pytest.mark.slow) for size in (100, 500)), 100_000]
)
def test_where_a_file_cannot_grow(base, model, events, size):
    write = WRITERS["refresh" if size == 500 else "export"]
    with pytest.raises(OSError) as caught, no_file_beyond(size):
        write(model, events, base)
    assert caught.value.errno == errno.EFBIG
    _check_nothing_new(base, caught)


@pytest.mark.acceptance
@pytest.mark.parametrize("writer", WRITERS)
def test_wherever_a_file_cannot_grow(base, model, events, writer):
    sizes = {path.stat().st_size for path in base.rglob("*") if path.is_file()}
    for size in sorted(sizes):
        # Graphs of two exports differ by a few bytes: the numbers in names of functions.
        with pytest.raises(OSError) as caught, no_file_beyond(int(0.98 * size)):
            WRITERS[writer](model, events, base)
        _check_nothing_new(base, caught)


@pytest.mark.parametrize("name", ["mkdir", "rename", "fsync"])
def test_where_nothing_is_left_for_a_folder_or_a_name(base, model, events, monkeypatch, name):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *args[:1])

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(OSError) as caught:
            export(model, events, base)
    assert caught.value.errno == errno.ENOSPC
    _check_nothing_new(base, caught)
