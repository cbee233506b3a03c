import asyncio
import threading

import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.serving.server.batching.batcher import Batcher
from tfrec_fusion.serving.server.batching.batching_parameters import BatchingParameters
from tfrec_fusion.serving.server.metrics import Metrics
from tfrec_fusion.serving.server.status import StatusError


class Double:
    """A model that doubles, and says how many rows it got each time."""

    def __init__(self):
        self.sizes, self.go = [], threading.Event()
        self.go.set()

    def __call__(self, inputs):
        assert self.go.wait(10)
        self.sizes.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2}


def ask(batcher, model, *values, kind="a", **more):
    return batcher.run(kind, model, {"x": np.array(values)}, **more)


def run(parameters, work):
    """Runs `work(batcher)` on an event loop."""

    async def main():
        batcher = Batcher(BatchingParameters(**parameters), Metrics())
        try:
            return await work(batcher)
        finally:
            batcher.close()

    return asyncio.run(main())


def test_requests_of_one_moment_are_one_run():
    model = Double()

    async def work(batcher):
        return await asyncio.gather(*(ask(batcher, model, i, i + 1) for i in range(3)))

    found = run({"max_batch_size": 8, "timeout": 0.05, "allowed_sizes": (4, 8)}, work)
    assert [answer["y"].tolist() for answer in found] == [[0, 2], [2, 4], [4, 6]]
    # 6 rows, filled up to 8.
    assert model.sizes == [8]


def test_a_full_batch_does_not_wait():
    model = Double()

    async def work(batcher):
        async with asyncio.timeout(5):
            return await asyncio.gather(*(ask(batcher, model, i) for i in range(4)))

    run({"max_batch_size": 2, "timeout": 60, "threads": 1}, work)
    assert model.sizes == [2, 2]


def test_what_does_not_fit_any_more_closes_the_batch():
    model = Double()

    async def work(batcher):
        first = asyncio.ensure_future(ask(batcher, model, 1, 2))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(ask(batcher, model, 3, 4, 5))
        return (await first)["y"].tolist(), (await second)["y"].tolist()

    found = run({"max_batch_size": 4, "timeout": 0.01, "threads": 1}, work)
    assert found == ([2, 4], [6, 8, 10])
    assert model.sizes == [2, 3]


def test_kinds_are_not_mixed():
    model = Double()

    async def work(batcher):
        await asyncio.gather(*(ask(batcher, model, i, kind=i % 2) for i in range(4)))

    run({"max_batch_size": 8, "timeout": 0.01}, work)
    assert model.sizes == [2, 2]


def test_too_many_batches_are_refused():
    model = Double()
    model.go.clear()

    async def work(batcher):
        waiting = [asyncio.ensure_future(ask(batcher, model, i)) for i in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(StatusError, match="currently 2 batches enqueued") as caught:
            await ask(batcher, model, 9)
        model.go.set()
        await asyncio.gather(*waiting)
        return caught.value.code

    parameters = {"max_batch_size": 1, "max_enqueued_batches": 2, "threads": 1}
    assert run(parameters, work) == "UNAVAILABLE"
    assert model.sizes == [1, 1, 1]


def test_a_request_larger_than_a_batch_is_refused():
    async def work(batcher):
        await ask(batcher, Double(), 1, 2, 3)

    with pytest.raises(StatusError, match="Task size 3 is larger than maximum input batch size 2"):
        run({"max_batch_size": 2}, work)


def test_a_batch_of_requests_that_are_all_too_late_is_not_run():
    model = Double()

    async def work(batcher):
        await ask(batcher, model, 1, deadline=0.0)

    with pytest.raises(StatusError, match="while waiting in batching queue") as caught:
        run({"max_batch_size": 2}, work)
    assert caught.value.code == "RESOURCE_EXHAUSTED"
    assert model.sizes == []


def test_an_error_of_the_model_is_that_of_all_its_requests():
    def model(inputs):
        raise StatusError("INTERNAL", "broken")

    async def work(batcher):
        return await asyncio.gather(
            *(ask(batcher, model, i) for i in range(2)), return_exceptions=True
        )

    found = run({"max_batch_size": 2}, work)
    assert [error.message for error in found] == ["broken"] * 2


def test_a_request_without_rows_runs_alone():
    model = Double()

    async def work(batcher):
        return await ask(batcher, model)

    assert run({"allowed_sizes": (8,), "max_batch_size": 8}, work)["y"].tolist() == []
    assert model.sizes == [0]


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
    with pytest.raises(InputError, match=r"no such file.*none\.txt"):
        BatchingParameters.read(tmp_path / "none.txt")
