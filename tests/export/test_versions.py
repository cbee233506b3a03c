import os
import subprocess
import sys
import time

import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.export.versions import check_base, latest_version, new_version, versions


def _write(base):
    with new_version(base) as (folder, result):
        (folder / "saved_model.pb").write_bytes(b"graph")
    return result[0]


def _no_process():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_versions_count_on_from_the_highest(tmp_path):
    base = tmp_path / "models" / "shop"
    assert versions(base) == {}
    assert _write(base) == base / "1"
    os.rename(base / "1", base / "9")
    # As text "9" comes after "10".
    assert [_write(base).name for _ in range(2)] == ["10", "11"]
    assert latest_version(base) == base / "11"
    assert latest_version(base / "9") == base / "9"


def test_an_error_inside_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="disk full"), new_version(tmp_path / "shop") as (folder, _):
        (folder / "saved_model.pb").write_bytes(b"half")
        raise OSError("disk full")
    assert list((tmp_path / "shop").iterdir()) == []


def test_nothing_numeric_is_there_before_the_end(tmp_path):
    with new_version(tmp_path) as (folder, _):
        (folder / "saved_model.pb").write_bytes(b"half")
        assert versions(tmp_path) == {}
        assert all(path.name.startswith(".tmp-") for path in tmp_path.iterdir())


def test_two_writers_at_once_get_two_numbers(tmp_path):
    with new_version(tmp_path) as (first, result):
        (first / "saved_model.pb").write_bytes(b"first")
        assert _write(tmp_path).name == "1"
    assert result[0].name == "2"
    assert (tmp_path / "2" / "saved_model.pb").read_bytes() == b"first"


def test_a_number_taken_at_the_last_moment_is_not_replaced(tmp_path, monkeypatch):
    # The other writer's version is not seen when the numbers are counted.
    _write(tmp_path)
    monkeypatch.setattr("tfrec_fusion.export.versions.versions", lambda base: {})
    assert _write(tmp_path).name == "2"


def test_leftovers_of_the_dead_are_removed_and_of_the_living_kept(tmp_path):
    with new_version(tmp_path) as (folder, _):
        (folder / "saved_model.pb").write_bytes(b"graph")
        alive = folder.parent.name
        dead = tmp_path / alive.replace(str(os.getpid()), str(_no_process()), 1)
        elsewhere = tmp_path / f".tmp-{_no_process()}-another-host-x1"
        old = tmp_path / f".tmp-{os.getpid()}-another-host-x2"
        other = tmp_path / ".tmp-notes"
        for path in (dead, elsewhere, old, other):
            path.mkdir()
            (path / "file").touch()
        yesterday = time.time() - 25 * 3600
        os.utime(old, (yesterday, yesterday))
        _write(tmp_path)
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {"1", alive, elsewhere.name, other.name}


@pytest.mark.parametrize("kind", ["file", "folder with files"])
def test_a_number_that_is_no_version_is_refused(tmp_path, kind):
    if kind == "file":
        (tmp_path / "3").write_text("notes")
    else:
        (tmp_path / "3").mkdir()
        (tmp_path / "3" / "notes").write_text("notes")
    with pytest.raises(InputError, match=r"3 is not a SavedModel, and TF Serving.*version 3"):
        check_base(tmp_path)


def test_other_names_and_an_empty_number_are_no_matter(tmp_path):
    (tmp_path / "README.md").touch()
    (tmp_path / "v2").mkdir()
    (tmp_path / "4").mkdir()
    check_base(tmp_path)
    assert _write(tmp_path).name == "5"


def test_numbers_above_int64_are_no_versions(tmp_path):
    """TF Serving reads them as int64 and leaves alone what does not fit."""
    for name in ("7", str(2**63), "9" * 200):
        (tmp_path / name).mkdir()
    assert set(versions(tmp_path)) == {7}
    (tmp_path / str(2**63 - 1)).mkdir()
    with pytest.raises(InputError, match="the largest possible version"):
        check_base(tmp_path)


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "shop").touch()
    for path in (tmp_path / "shop", tmp_path / "shop" / "deep"):
        with pytest.raises(InputError, match="shop is a file"):
            check_base(path)
