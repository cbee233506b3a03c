"""Resumable training runs, and callbacks for Keras's `fit`."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Checkpoints": "checkpoints",
        "Evaluation": "evaluation",
        "ProgressBar": "progress",
        "Run": "run",
        "evaluate_origins": "origins",
        "RunConfig": "config",
        "StepsPerExecution": "steps_per_execution",
        "TensorBoard": "tensorboard",
        "write_projector": "projector",
    },
)
