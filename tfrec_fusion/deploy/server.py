"""Flags of the model server, the same for Docker and Kubernetes."""

from __future__ import annotations

from urllib.parse import quote

from tfrec_fusion.deploy import batching, models_config, monitoring
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.errors import InputError

GRPC_PORT, REST_PORT = 8500, 8501
_POLL_SECONDS = 30

# Flags of tensorflow_model_server that users may set; it does not start with an unknown flag.
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
    """Arguments for the official image, which sets the ports itself.

    Args:
      deployment: the options.
      config: file name of the models' config.
      poll: whether the server rereads the config. Not for canary servers: their labels move to
        versions that are not loaded yet, which only a restarted server accepts.
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
    """Checks that all arguments are known flags; the model server does not start with others.

    Raises:
      InputError: one is not; names the file, the key and the flag.
    """
    for argument in found:
        name, equals, _ = argument.removeprefix("--").partition("=")
        if not (argument.startswith("--") and equals and name in _FLAGS):
            raise InputError(
                f"{file}: {key}: not a known flag of tensorflow_model_server. "
                f"Received: {argument!r}"
            )


def status_path(model: str) -> str:
    """The REST path that returns 200 once a version of `model` is loaded."""
    return f"/v1/models/{quote(model, safe='')}/metadata"
