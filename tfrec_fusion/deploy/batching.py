"""`batching_parameters.txt`: parameters of TF Serving's own batching (`merging="session"`)."""

from __future__ import annotations

from tfrec_fusion.deploy import protos
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.errors import InputError

FILE = "batching_parameters.txt"
_RISK = """\
# All requests of a batch fail together if one has lists of another width or an input of another
# rank. With pad_variable_length_inputs the widths may differ, but one request of another rank
# crashes the whole server. An empty request waits for the next one.
"""


def batching_text(deployment: DeploymentConfig) -> str:
    """The text of `tensorflow.serving.BatchingParameters`, with its risks as a comment.

    Requests with lists of different widths fail together. With `pad_variable_length_inputs` TF
    Serving pads narrower lists with the first value of the request, so in a request of several
    users each list must start with "".

    Raises:
      InputError: a field or value that TF Serving would reject.
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
    """Checks that TF Serving accepts the text, and that its batching fits the signatures.

    Raises:
      InputError: it does not; names the file, the field and the value.
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
        # The parts of a split request may be batched with different k, so their answers differ in
        # length.
        raise InputError(
            f"{FILE}: enable_large_batch_splitting must be false: the parts of a request would get "
            "lists of different lengths. Received: true"
        )
