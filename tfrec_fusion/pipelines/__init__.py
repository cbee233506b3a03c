"""Models that are made of other models."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Blend": "blend",
        "BlendConfig": "blend_config",
        "NewUsers": "blend_config",
        "RankerEnsemble": "ranker_ensemble",
        "RankerEnsembleConfig": "ranker_ensemble_config",
        "Stack": "stack",
        "StackConfig": "stack_config",
        "TwoStage": "two_stage",
        "TwoStageConfig": "two_stage_config",
    },
)
