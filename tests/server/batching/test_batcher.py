import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.errors import InputError
from tfrec_fusion.server.batching.batcher import Batcher
from tfrec_fusion.server.batching.batching_parameters import BatchingParameters
from tfrec_fusion.server.metrics import Metrics


class Double:
    """A model that doubles, and says how many rows it got each time."""

    def __init__(self):
        self.sizes, self.go, self.began = [], threading.Event(), threading.Event()
        self.go.set()

    def __call__(self, inputs):
        self.began.set()
        assert self.go.wait(10)
        self.sizes.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2}


def ask(batcher, model, *values, kind="a", **more):
    return batcher.submit(kind, model, {"x": np.array(values)}, **more)


@contextmanager
def batching(**parameters):
    batcher = Batcher(BatchingParameters(**parameters), Metrics())
    try:
        yield batcher
    finally:
        batcher.close()


def answers(*waiting):
    return [future.result(10)["y"].tolist() for future in waiting]


def test_requests_of_one_moment_are_one_run():
    model = Double()
    with batching(max_batch_size=6, timeout=60) as batcher:
        waiting = [ask(batcher, model, i, i + 1) for i in range(3)]
        assert answers(*waiting) == [[0, 2], [2, 4], [4, 6]]
    assert model.sizes == [6]


def test_a_batch_is_filled_up():
    model = Double()
    with batching(max_batch_size=8, timeout=0.01, allowed_sizes=(4, 8)) as batcher:
        assert answers(ask(batcher, model, *range(5))) == [[0, 2, 4, 6, 8]]
    assert model.sizes == [8]


def test_a_full_batch_does_not_wait():
    model = Double()
    with batching(max_batch_size=2, timeout=60, threads=1) as batcher:
        answers(*[ask(batcher, model, i) for i in range(4)])
    assert model.sizes == [2, 2]


def test_what_does_not_fit_any_more_closes_the_batch():
    model = Double()
    with batching(max_batch_size=4, timeout=0.5, threads=1) as batcher:
        first, second = ask(batcher, model, 1, 2), ask(batcher, model, 3, 4, 5)
        assert answers(first, second) == [[2, 4], [6, 8, 10]]
    assert model.sizes == [2, 3]


def test_kinds_are_not_mixed():
    model = Double()
    with batching(max_batch_size=2, timeout=60) as batcher:
        answers(*[ask(batcher, model, i, kind=i % 2) for i in range(4)])
    assert model.sizes == [2, 2]


def test_too_many_batches_are_refused():
    model = Double()
    model.go.clear()
    with batching(max_batch_size=1, max_enqueued_batches=2, threads=1) as batcher:
        first = ask(batcher, model, 0)
        assert model.began.wait(10)
        waiting = [ask(batcher, model, i) for i in (1, 2)]
        with pytest.raises(StatusError, match="currently 2 batches enqueued") as caught:
            ask(batcher, model, 9)
        assert caught.value.code == "UNAVAILABLE"
        model.go.set()
        assert answers(first, *waiting) == [[0], [2], [4]]
    assert model.sizes == [1, 1, 1]


def test_an_empty_request_neither_waits_nor_ends_the_wait_of_others():
    """Its batch is never full, and the one that waits for four rows is not run at its coming."""
    model = Double()
    with batching(max_batch_size=4, timeout=60, threads=1) as batcher:
        waiting = [ask(batcher, model, 1, 2)]
        for _ in range(3):
            assert answers(ask(batcher, model)) == [[]]
        assert model.sizes == [0, 0, 0]
        waiting.append(ask(batcher, model, 3, 4))
        assert answers(*waiting) == [[2, 4], [6, 8]]
    assert model.sizes == [0, 0, 0, 4]


def test_a_request_larger_than_a_batch_is_refused():
    with (
        batching(max_batch_size=2) as batcher,
        pytest.raises(StatusError, match="Task size 3 is larger than maximum input batch size 2"),
    ):
        ask(batcher, Double(), 1, 2, 3)


def test_a_batch_of_requests_that_are_all_too_late_is_not_run():
    model = Double()
    with batching(max_batch_size=2) as batcher:
        error = ask(batcher, model, 1, deadline=0.0).exception(10)
    assert error.code == "RESOURCE_EXHAUSTED"
    assert "while waiting in batching queue" in error.message
    assert model.sizes == []


def test_an_error_of_the_model_is_that_of_all_its_requests():
    def model(inputs):
        raise StatusError("INTERNAL", "broken")

    with batching(max_batch_size=2, timeout=60) as batcher:
        waiting = [ask(batcher, model, i) for i in range(2)]
        assert [future.exception(10).message for future in waiting] == ["broken"] * 2
        # The thread lives on.
        assert ask(batcher, model).exception(10).message == "broken"


def test_a_request_without_rows_runs_alone():
    model = Double()
    with batching(allowed_sizes=(8,), max_batch_size=8, timeout=0.5) as batcher:
        before, empty, after = (ask(batcher, model, *values) for values in ((1,), (), (2,)))
        assert answers(before, empty, after) == [[2], [], [4]]
    assert sorted(model.sizes) == [0, 8]


def test_what_waits_at_the_end_fails_and_nothing_more_is_taken():
    model = Double()
    with batching(timeout=60) as batcher:
        waiting = ask(batcher, model, 3)
    assert waiting.exception(10).code == "UNAVAILABLE"
    with pytest.raises(StatusError, match="the server is stopping"):
        ask(batcher, model, 4)
    assert model.sizes == []


@pytest.mark.parametrize("wrong", [False, True])
def test_a_model_is_free_after_its_last_batch(wrong):
    freed = threading.Event()
    gc.disable()
    try:
        with batching(threads=2) as batcher:
            model = Double()
            weakref.finalize(model, freed.set)
            waiting = [ask(batcher, model, "?" if wrong else i, kind=i) for i in range(4)]
            assert [future.exception(10) is not None for future in waiting] == [wrong] * 4
            del model, waiting
            assert freed.wait(10)
    finally:
        gc.enable()


def test_many_threads_get_their_own_answers():
    """No request is lost or swapped, whatever kinds, batches and threads meet."""
    model = Double()
    with (
        batching(max_batch_size=7, timeout=0.0005, threads=3, max_enqueued_batches=99) as batcher,
        ThreadPoolExecutor(16) as pool,
    ):

        def client(number):
            for i in range(100):
                value = 1000 * number + i
                found = ask(batcher, model, value, value + 1, kind=i % 3).result(10)
                assert found["y"].tolist() == [2 * value, 2 * value + 2]

        list(pool.map(client, range(16)))
    assert sum(model.sizes) == 16 * 100 * 2


def test_the_file(tmp_path):
    path = tmp_path / "batching_parameters.txt"
    path.write_text(
        "max_batch_size { value: 64 } batch_timeout_micros { value: 1500 }\n"
        "max_enqueued_batches { value: 7 } num_batch_threads { value: 3 }\n"
        "allowed_batch_sizes: 8 allowed_batch_sizes: 64 pad_variable_length_inputs: true"
    )
    found = BatchingParameters.read(path)
    assert found == BatchingParameters(64, 0.0015, 7, 3, (8, 64), True)
    assert [found.size_of(rows) for rows in (1, 8, 9, 64)] == [8, 8, 64, 64]
    path.write_text("")
    assert BatchingParameters.read(path) == BatchingParameters()
    path.write_text("max_batch_sizes { value: 3 }")
    with pytest.raises(InputError, match="max_batch_sizes"):
        BatchingParameters.read(path)
    with pytest.raises(InputError, match=r"batching file does not exist.*none\.txt"):
        BatchingParameters.read(tmp_path / "none.txt")
