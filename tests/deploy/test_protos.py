import pytest

from tfrec_fusion.deploy import protos
from tfrec_fusion.errors import InputError


def test_fields_have_the_numbers_of_tf_serving():
    # On the wire: field 1, a message of 2 bytes, whose field 1 is the varint 8; field 6, packed
    # varints 1 and 8; field 7, the varint 1.
    found = protos.build(
        "BatchingParameters",
        {"max_batch_size": 8, "allowed_batch_sizes": [1, 8], "pad_variable_length_inputs": True},
        "file",
    )
    assert found.SerializeToString() == b"\x0a\x02\x08\x08" + b"\x32\x02\x01\x08" + b"\x38\x01"


def test_text_comes_back():
    fields = {"prometheus_config": {"enable": True, "path": "/é"}}
    found = protos.build("MonitoringConfig", fields, "file")
    assert protos.parse("MonitoringConfig", "# note\n" + protos.text(found), "file") == found


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"max_batch_sizes": 8}, r"file: .*no field named \"max_batch_sizes\".*Received"),
        ({"max_batch_size": "many"}, r"file: .*max_batch_size"),
        ({"pad_variable_length_inputs": "yes"}, r"file: .*pad_variable_length_inputs"),
    ],
)
def test_a_wrong_field_is_named(fields, says):
    with pytest.raises(InputError, match=says) as caught:
        protos.build("BatchingParameters", fields, "file")
    assert "\n" not in str(caught.value)


def test_a_wrong_field_of_a_text_is_named():
    with pytest.raises(InputError, match=r'file: line 1:1 .*no field named "max_batch"'):
        protos.parse("BatchingParameters", "max_batch: 3", "file")
