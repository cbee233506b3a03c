import pytest

from tfrec_fusion.deploy import DeploymentConfig, protos
from tfrec_fusion.deploy.batching import batching_text, check_batching
from tfrec_fusion.errors import InputError


def test_the_last_allowed_size_is_the_largest():
    found = protos.parse(
        "BatchingParameters", batching_text(DeploymentConfig(batch_sizes=(2, 5))), ""
    )
    assert list(found.allowed_batch_sizes) == [2, 5]
    assert found.max_batch_size.value == 5


def test_nothing_is_padded_and_the_risk_is_told():
    text = batching_text(DeploymentConfig(merging="session"))
    assert not protos.parse("BatchingParameters", text, "").pad_variable_length_inputs
    assert text.startswith("# All requests of a batch fail together")


def test_fields_of_the_user_go_first():
    text = batching_text(DeploymentConfig(batching={"num_batch_threads": 7}))
    assert protos.parse("BatchingParameters", text, "").num_batch_threads.value == 7


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"max_batch_size": 32}, r"allowed_batch_sizes must end with max_batch_size, 32"),
        ({"allowed_batch_sizes": [64, 64]}, "allowed_batch_sizes must ascend"),
        ({"num_batch_threads": 0}, "num_batch_threads must be at least 1. Received: 0"),
        ({"enable_large_batch_splitting": True}, "enable_large_batch_splitting must be false"),
        ({"batch_timeout": 3}, 'no field named "batch_timeout"'),
    ],
)
def test_what_tf_serving_would_refuse(fields, says):
    with pytest.raises(InputError, match=rf"batching_parameters\.txt: .*{says}"):
        batching_text(DeploymentConfig(batching=fields))


def test_sizes_that_do_not_ascend():
    with pytest.raises(InputError, match=r"allowed_batch_sizes must ascend.*\[4, 2\]"):
        batching_text(DeploymentConfig(batch_sizes=(4, 2)))


def test_a_text_with_a_wrong_type():
    with pytest.raises(InputError, match=r"batching_parameters\.txt: line 1.*max_batch_size"):
        check_batching("max_batch_size: 8")
