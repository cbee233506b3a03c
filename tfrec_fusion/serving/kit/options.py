"""What may be chosen about the files for TF Serving."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class Kit(BaseModel):
    """Options of the files that `export` writes for TF Serving.

    Attributes:
      batch_sizes: the sizes that TF Serving fills batches up to, ascending; the last is the most
        that a request may have. Each has its warm-up requests.
      batching: more fields of `tensorflow.serving.BatchingParameters`, e.g. `{"num_batch_threads":
        8}`; they go before the kit's.
      monitoring: fields of `tensorflow.serving.MonitoringConfig` in place of the kit's.
      requests: signature -> more warm-up requests, each from input name to a nested list, e.g. from
        the logs.
      image: of the server.
      replicas: pods of the stable track; the canary track has one.
      cpus: of a server.
      memory_gib: of a server; None is three times the model's bytes and one GiB.

    Example:
      >>> export(model, events, "saved_models/shop", kit=Kit(batch_sizes=(1, 16), replicas=2))
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_sizes: tuple[PositiveInt, ...] = Field((1, 2, 4, 8, 16, 32, 64), min_length=1)
    batching: dict[str, Any] = {}
    monitoring: dict[str, Any] = {}
    requests: dict[str, list[dict[str, Any]]] = {}
    image: str = Field("tensorflow/serving:2.20.0", min_length=1)
    replicas: PositiveInt = 2
    cpus: PositiveFloat = 2.0
    memory_gib: PositiveFloat | None = None
