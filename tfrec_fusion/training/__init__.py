"""Resumable training runs, and callbacks for Keras's `fit`."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AutoResult": "auto_result",
        "auto": "choosing",
        "Checkpoints": "checkpoints",
        "ChosenBlend": "blend_choice",
        "ChosenStack": "stack_choice",
        "Evaluation": "evaluation",
        "calibrate": "calibrating",
        "ProgressBar": "progress",
        "Run": "run",
        "choose_blend": "blend_choice",
        "choose_stack": "stack_choice",
        "evaluate_origins": "origins",
        "examination_propensities": "propensities",
        "gain_labels": "propensities",
        "inverse_propensity_weights": "propensities",
        "RunConfig": "config",
        "default_candidates": "auto_candidates",
        "StepsPerExecution": "steps_per_execution",
        "TensorBoard": "tensorboard",
        "Trial": "auto_result",
        "TuningResult": "tuning_result",
        "tune": "tuning",
        "validation_score": "tuning",
        "write_projector": "projector",
    },
)
