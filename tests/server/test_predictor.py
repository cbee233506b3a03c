import asyncio
import gc
import io
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.batching.batching_parameters import BatchingParameters
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.logs import Log
from tfrec_fusion.server.metrics import Metrics
from tfrec_fusion.server.predictor import Predictor


class Model:
    """Adds one, but not to 13; counts who holds it."""

    name, version = "shop", 3

    def __init__(self):
        slot = TensorSlot(3, (None,))
        signature = SimpleNamespace(inputs={"x": slot}, outputs={"y": slot}, items=None, counts=())
        signature.check_times = lambda inputs: None
        self.signatures, self.held = {"plus_one": signature}, 0

    def run(self, signature, inputs, outputs=()):
        if 13 in inputs["x"]:
            raise invalid("13 is unlucky")
        return {"y": inputs["x"] + 1}

    def hold(self):
        self.held += 1

    def release(self):
        self.held -= 1


@pytest.fixture(params=[None, BatchingParameters(threads=1)], ids=["alone", "batches"])
def predictor(request):
    log = Log(stream=io.StringIO())
    predictor = Predictor(SimpleNamespace(), Limits(), Metrics(), log, request.param)
    yield predictor
    predictor.close()


@pytest.fixture(params=["predict", "predict_here"])
def ask(request, predictor):
    """Asks on an event loop, or in this thread; gives the values, or the code of the error."""

    def answer(model, values, more):
        inputs = {"x": np.array(values, np.int32)}
        return getattr(predictor, request.param)(model, "plus_one", inputs, **more)

    async def on_a_loop(*arguments):
        try:
            return await answer(*arguments)
        except StatusError as error:
            return error.code

    def ask(model, *values, **more):
        try:
            if request.param == "predict":
                found = asyncio.run(on_a_loop(model, values, more))
            else:
                found = answer(model, values, more)
        except StatusError as error:
            return error.code
        return found if isinstance(found, str) else found["y"].tolist()

    return ask


def test_an_answer(ask):
    model = Model()
    assert ask(model, 1, 2) == [2, 3]
    assert model.held == 0


def test_a_deadline_that_has_passed(ask):
    late = ask(Model(), 1, deadline=0.0)
    assert late in ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(("value", "expected"), [(1, [2]), (13, "INVALID_ARGUMENT")])
def test_a_model_is_free_after_its_last_request(ask, value, expected):
    freed = threading.Event()
    model = Model()
    weakref.finalize(model, freed.set)
    gc.disable()
    try:
        assert ask(model, value) == expected
        del model
        assert freed.wait(10)
    finally:
        gc.enable()
