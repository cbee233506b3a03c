"""How the model server is started: the same flags for Docker and Kubernetes."""

from __future__ import annotations

from urllib.parse import quote

from tfrec_fusion.deploy import batching, models_config, monitoring
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.errors import InputError

GRPC_PORT, REST_PORT = 8500, 8501
_POLL_SECONDS = 30

# Those of tensorflow_model_server that are for the user to set; it does not start with another.
_FLAGS = {
    "allow_version_labels_for_unavailable_models",
    "batching_parameters_file",
    "enable_batching",
    "enable_model_warmup",
    "file_system_poll_wait_seconds",
    "grpc_max_threads",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "monitoring_config_file",
    "rest_api_num_threads",
    "rest_api_timeout_in_ms",
    "tensorflow_inter_op_parallelism",
    "tensorflow_intra_op_parallelism",
}


def arguments(
    deployment: DeploymentConfig, config: str = models_config.FILE, poll: bool = True
) -> list[str]:
    """Arguments of the official image, whose own set the ports.

    Args:
      config: name of the models' config.
      poll: whether to read it again when it changes. The canary's labels move to versions that are
        not loaded yet, which only a new process takes.
    """
    at = models_config.MOUNT
    found = [
        f"--model_config_file={at}/{config}",
        "--allow_version_labels_for_unavailable_models=true",
        f"--monitoring_config_file={at}/{monitoring.FILE}",
        "--rest_api_timeout_in_ms=10000",
        f"--grpc_max_threads={deployment.threads}",
        f"--rest_api_num_threads={deployment.threads}",
    ]
    if deployment.merging == "session":
        found += ["--enable_batching=true", f"--batching_parameters_file={at}/{batching.FILE}"]
    if poll:
        found.insert(1, f"--model_config_file_poll_wait_seconds={_POLL_SECONDS}")
    return found


def check_arguments(found: list[str], file: str, key: str) -> None:
    """Refuses a flag that the model server does not have, with which it would not start.

    Raises:
      InputError: names the file, the key and the flag.
    """
    for argument in found:
        name, equals, _ = argument.removeprefix("--").partition("=")
        if not (argument.startswith("--") and equals and name in _FLAGS):
            raise InputError(
                f"{file}: {key}: not a flag of tensorflow_model_server that is known here. "
                f"Received: {argument!r}"
            )


def status_path(model: str) -> str:
    """The REST path that answers 200 once a version of `model` is loaded."""
    return f"/v1/models/{quote(model, safe='')}/metadata"
