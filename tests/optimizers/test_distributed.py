"""The optimizers of tables under TensorFlow's strategies, in real processes over loopback."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("distributed_fit.py")
ROOT = Path(__file__).parents[2]
SECONDS = 400
OPTIMIZERS = ["row-wise", "lazy"]


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _process(role: str, folder: Path | str, cluster: dict | None = None, task=None):
    """A process of the script, ended at the end at the latest."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_NUM_INTRAOP_THREADS": "1",
    }
    environment.pop("TF_CONFIG", None)
    if cluster:
        kind, index = task
        environment["TF_CONFIG"] = json.dumps(
            {"cluster": cluster, "task": {"type": kind, "index": index}}
        )
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), role, str(folder)],
        env=environment,
        # A server says much, and nobody would read it.
        stdout=subprocess.DEVNULL if role == "server" else subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _result(process, folder: Path) -> dict:
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output[-4000:]
    with np.load(folder / "result.npz") as arrays:
        return dict(arrays)


def _cluster(**counts: int) -> dict:
    ports = iter(_free_ports(sum(counts.values())))
    return {
        kind: [f"127.0.0.1:{next(ports)}" for _ in range(count)] for kind, count in counts.items()
    }


def _same(result: dict, single: dict) -> None:
    assert result.keys() == single.keys()
    for key, value in single.items():
        np.testing.assert_allclose(result[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def _only_known_rows_moved(result: dict) -> None:
    for name in OPTIMIZERS:
        start = 0.3 * np.sin(np.arange(240, dtype=np.float32)).reshape(60, 4)
        for table in ("own/table", "keras/embeddings"):
            value = result[f"{name}/{table}"]
            # No id reaches 40. NumPy's sine is not TensorFlow's to the last bit.
            np.testing.assert_allclose(value[40:], start[40:], atol=1e-6)
            assert np.abs(value[0] - start[0]).max() > 0.01


@pytest.fixture(scope="module")
def single_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("single")


@pytest.fixture(scope="module")
def single(single_folder):
    with _process("single", single_folder) as process:
        result = _result(process, single_folder)
    _only_known_rows_moved(result)
    return result


@pytest.mark.slow
def test_mirrored_on_two_devices_equals_one(single, tmp_path):
    with _process("mirrored", tmp_path) as process:
        _same(_result(process, tmp_path), single)


@pytest.mark.slow
def test_two_mirrored_workers_equal_one_process(single, tmp_path):
    cluster = _cluster(worker=2)
    folders = [tmp_path / "0", tmp_path / "1"]
    with contextlib.ExitStack() as stack:
        processes = []
        for index, folder in enumerate(folders):
            folder.mkdir()
            started = _process("worker", folder, cluster, ("worker", index))
            processes.append(stack.enter_context(started))
        for process, folder in zip(processes, folders, strict=True):
            _same(_result(process, folder), single)


def _parameter_servers(folder: Path, workers: int) -> dict:
    cluster = _cluster(chief=1, worker=workers, ps=2)
    with contextlib.ExitStack() as stack:
        for kind in ("worker", "ps"):
            for index in range(len(cluster[kind])):
                stack.enter_context(_process("server", "-", cluster, (kind, index)))
        chief = stack.enter_context(_process("chief", folder, cluster, ("chief", 0)))
        return _result(chief, folder)


@pytest.mark.acceptance
def test_parameter_servers_with_one_worker_equal_one_process(single, single_folder, tmp_path):
    """One worker takes the steps in order, so that nothing is asynchronous."""
    _same(_parameter_servers(tmp_path, workers=1), single)

    # The state of the two halves of each table is saved as that of one table.
    from tfrec_fusion._compat import tf

    for name in OPTIMIZERS:
        ours, theirs = (
            tf.train.load_checkpoint(str(folder / name)) for folder in (tmp_path, single_folder)
        )
        ours, theirs = ({k: r.get_tensor(k) for k in _states(r)} for r in (ours, theirs))
        assert ours.keys() == theirs.keys()
        assert any(value.shape == (60,) + (4,) * (name == "lazy") for value in ours.values())
        for key, value in theirs.items():
            np.testing.assert_allclose(ours[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def _states(reader) -> list[str]:
    """Names of the optimizer's arrays in a checkpoint."""
    return [
        key
        for key, kind in reader.get_variable_to_dtype_map().items()
        if key.startswith("optimizer/") and kind.is_floating
    ]


@pytest.mark.slow
def test_parameter_servers_with_two_workers_count_every_step(single, tmp_path):
    """Steps of two workers overlap, so only what any order keeps is tested: no loss need fall."""
    result = _parameter_servers(tmp_path, workers=2)
    _only_known_rows_moved(result)
    for name in OPTIMIZERS:
        assert result[f"{name}/iterations"] == single[f"{name}/iterations"] == 8
        assert np.isfinite(result[f"{name}/loss"]).all()
