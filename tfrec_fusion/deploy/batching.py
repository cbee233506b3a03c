"""`batching_parameters.txt`: how TF Serving merges waiting requests, where it is told to."""

from __future__ import annotations

from tfrec_fusion.deploy import protos
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.errors import InputError

FILE = "batching_parameters.txt"
_RISK = """\
# All requests of a batch fail together: for one whose lists have another width or that has another
# number of dimensions. With pad_variable_length_inputs the widths may differ, but one request of
# another number of dimensions ends the whole server. An empty request waits for the next one.
"""


def batching_text(deployment: DeploymentConfig) -> str:
    """The text of `tensorflow.serving.BatchingParameters`.

    Its first lines say what it risks: requests of different list widths fail together. With
    `pad_variable_length_inputs` TF Serving fills the narrower ones up with the first value of the
    request, which is why a list of several users has to start with "".

    Raises:
      InputError: a field or value that TF Serving would refuse.
    """
    fields = {
        "max_batch_size": deployment.batch_sizes[-1],
        "batch_timeout_micros": 1000,
        "max_enqueued_batches": 100,
        "num_batch_threads": deployment.runs,
        "allowed_batch_sizes": list(deployment.batch_sizes),
    }
    text = _RISK + protos.text(
        protos.build("BatchingParameters", {**fields, **deployment.batching}, FILE)
    )
    check_batching(text)
    return text


def check_batching(text: str) -> None:
    """Refuses what TF Serving would refuse, and what would break the signatures.

    Raises:
      InputError: names the file, the field and the value.
    """
    found = protos.parse("BatchingParameters", text, FILE)
    sizes = list(found.allowed_batch_sizes)
    largest = found.max_batch_size.value
    if sizes != sorted(set(sizes)) or (sizes and sizes[0] < 1):
        raise InputError(f"{FILE}: allowed_batch_sizes must ascend from 1. Received: {sizes}")
    if sizes and sizes[-1] != largest:
        raise InputError(
            f"{FILE}: allowed_batch_sizes must end with max_batch_size, {largest}. "
            f"Received: {sizes}"
        )
    for field, least in (
        ("max_batch_size", 1),
        ("num_batch_threads", 1),
        ("max_enqueued_batches", 1),
        ("batch_timeout_micros", 0),
    ):
        if found.HasField(field) and getattr(found, field).value < least:
            value = getattr(found, field).value
            raise InputError(f"{FILE}: {field} must be at least {least}. Received: {value}")
    if found.enable_large_batch_splitting.value:
        # The parts of a split request may meet other k, and their answers do not join.
        raise InputError(
            f"{FILE}: enable_large_batch_splitting must be false: the parts of a request would get "
            "lists of different lengths. Received: true"
        )
