"""What TF Serving answers over gRPC, asked of the embedded server or of any address."""

import re

import numpy as np
import pytest
from grpc_cases import CASES, METADATA, PREDICT, STATUS

from tfrec_fusion._compat import tf

grpc = pytest.importorskip("grpc")
apis = pytest.importorskip("tensorflow_serving.apis.predict_pb2")


@pytest.fixture(scope="module")
def call(addresses):
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    if addresses.grpc is None:
        pytest.skip("no gRPC address given")
    with grpc.insecure_channel(addresses.grpc) as channel:
        services = (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )

        def call(case):
            (method,) = (
                getattr(service, case.method)
                for service in services
                if hasattr(service, case.method)
            )
            return method(_request(case), timeout=20)

        yield call


def test_there_are_enough_cases_and_no_name_twice():
    assert len({case.name for case in CASES}) == len(CASES) >= 30


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}: {case.name}")
def test_grpc(call, case):
    if case.code != "OK":
        with pytest.raises(grpc.RpcError) as caught:
            call(case)
        assert caught.value.code().name == case.code
        assert case.error in caught.value.details()
        return
    answer = call(case)
    for path, expected in case.answer.items():
        assert _field(answer, path) == expected, path
    if case.outputs is not None:
        assert set(answer.outputs) == set(case.outputs)
        for name, expected in case.outputs.items():
            found = tf.make_ndarray(answer.outputs[name])
            assert found.shape == np.shape(expected)
            np.testing.assert_array_equal(found, np.array(expected, found.dtype))


def test_values_come_one_by_one(call):
    """Not packed as `tensor_content`: the default of --enable_serialization_as_tensor_content."""
    tensor = call(CASES[0]).outputs["y"]
    assert list(tensor.float_val) == [3.5, 4.0]
    assert not tensor.tensor_content


def test_the_metadata_has_the_signatures(call):
    from tensorflow_serving.apis import get_model_metadata_pb2

    (case,) = (case for case in CASES if case.name == "metadata")
    found = get_model_metadata_pb2.SignatureDefMap()
    call(case).metadata["signature_def"].Unpack(found)
    assert {"serving_default", "types"} <= set(found.signature_def)
    assert found.signature_def["divide"].inputs["x"].name == "divide_x:0"


def _request(case):
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_management_pb2,
        predict_pb2,
    )

    if case.method == PREDICT:
        request = predict_pb2.PredictRequest(output_filter=case.filter)
        for name, values in case.inputs.items():
            request.inputs[name].CopyFrom(_tensor(values))
    elif case.method == METADATA:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=case.fields)
    elif case.method == STATUS:
        request = get_model_status_pb2.GetModelStatusRequest()
    else:
        return model_management_pb2.ReloadConfigRequest()
    if case.spec is not None:
        request.model_spec.SetInParent()
        for name, value in case.spec.items():
            if name == "version":
                request.model_spec.version.value = value
            else:
                setattr(request.model_spec, name, value)
    return request


def _tensor(values):
    if isinstance(values, str):
        # Three values for the shape [2].
        broken = tf.make_tensor_proto(np.zeros(3, np.float32))
        broken.tensor_shape.dim[0].size = 2
        return broken
    return tf.make_tensor_proto(values)


def _field(message, path):
    for name, position in re.findall(r"(\w+)(?:\[(\d+)\])?", path):
        message = getattr(message, name)
        message = message[int(position)] if position else message
    return message
