"""What may be chosen about the files for TF Serving."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from tfrec_fusion.export.merging import Merging


class DeploymentConfig(BaseModel):
    """Options of the files that `export` writes for TF Serving.

    Attributes:
      batch_sizes: rows of the warm-up requests, ascending, which each signature gets; the last is
        the most rows that requests are merged to.
      merging: how requests that wait at the same moment become one run. "graph": inside the
        two-tower's version, where no request can make another fail. "session": by TF Serving
        (`--enable_batching`, `batching_parameters.txt`), which fails or refuses all requests of a
        batch for one that does not fit. None: not at all.
      merged_runs: runs of merged requests at once; None is one a CPU.
      batching: with "session", more fields of `tensorflow.serving.BatchingParameters`, e.g.
        `{"batch_timeout_micros": 500}`; they override the ones written here.
      monitoring: fields of `tensorflow.serving.MonitoringConfig` instead of the ones written here.
      requests: signature -> more warm-up requests, each from input name to a nested list, e.g. from
        the logs.
      image: of the server.
      replicas: pods of the stable track; the canary track has one.
      cpus: of a server.
      memory_gib: of a server; None is what `memory_mib` counts.
      grpc_max_threads: requests that the server answers or keeps waiting at once, over gRPC and
        over REST each; those beyond get RESOURCE_EXHAUSTED. None is 4 a CPU, or what it takes to
        fill a batch while others run, whichever is more.

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
        """Runs of merged requests at once."""
        return self.merged_runs or max(1, round(self.cpus))

    @property
    def threads(self) -> int:
        """Requests at once: one of a row each for all running batches and one that is filled."""
        most = max(math.ceil(4 * self.cpus), self.batch_sizes[-1] * (self.runs + 1))
        return self.grpc_max_threads or most

    @property
    def in_graph(self) -> Merging | None:
        """What a version is told of merging."""
        if self.merging != "graph":
            return None
        return Merging(rows=self.batch_sizes[-1], threads=self.runs)
