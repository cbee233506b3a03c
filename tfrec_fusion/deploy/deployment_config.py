"""Options of the files for TF Serving."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from tfrec_fusion.export.merging import Merging


class DeploymentConfig(BaseModel):
    """Options of the files that `export` writes for TF Serving.

    Attributes:
      batch_sizes: rows of the warm-up requests for each signature, ascending; the last is the most
        rows of a merged batch.
      merging: how concurrent requests are batched. "graph": inside the graph of a two-tower, where
        no request can make another fail. "session": by TF Serving (`--enable_batching`,
        `batching_parameters.txt`), where one invalid request fails all of its batch. None: no
        batching.
      merged_runs: batches that run at the same time; None is one per CPU.
      batching: with "session", fields of `tensorflow.serving.BatchingParameters` that override the
        defaults, e.g. `{"batch_timeout_micros": 500}`.
      monitoring: fields of `tensorflow.serving.MonitoringConfig` that replace the defaults.
      requests: signature -> additional warm-up requests, each from input name to a nested list,
        e.g. from logs.
      image: Docker image of the server.
      replicas: pods of the stable track; the canary track has one.
      cpus: CPUs of a server.
      memory_gib: memory of a server in GiB; None is computed by `memory_mib`.
      grpc_max_threads: most requests that the server handles or queues at the same time, for gRPC
        and for REST each; more get RESOURCE_EXHAUSTED. None is 4 per CPU, or as many as fill a
        batch while others run, whichever is more.

    Example:
      >>> deployment = DeploymentConfig(batch_sizes=(1, 16), replicas=2)
      >>> deployment.batch_sizes
      (1, 16)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_sizes: tuple[PositiveInt, ...] = Field(default=(1, 2, 4, 8, 16, 32, 64), min_length=1)
    merging: Literal["graph", "session"] | None = "graph"
    merged_runs: PositiveInt | None = None
    batching: dict[str, Any] = {}
    monitoring: dict[str, Any] = {}
    requests: dict[str, list[dict[str, Any]]] = {}
    image: str = Field(default="tensorflow/serving:2.20.0", min_length=1)
    replicas: PositiveInt = 2
    cpus: PositiveFloat = 2.0
    memory_gib: PositiveFloat | None = None
    grpc_max_threads: PositiveInt | None = None

    @property
    def runs(self) -> int:
        """Batches that run at the same time."""
        return self.merged_runs or max(1, round(self.cpus))

    @property
    def threads(self) -> int:
        """Server threads: one per row of all running batches and of one that is being filled."""
        most = max(math.ceil(4 * self.cpus), self.batch_sizes[-1] * (self.runs + 1))
        return self.grpc_max_threads or most

    @property
    def in_graph(self) -> Merging | None:
        """The options of batching inside the graph, or None."""
        if self.merging != "graph":
            return None
        return Merging(rows=self.batch_sizes[-1], threads=self.runs)
