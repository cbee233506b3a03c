"""Losses for retrieval, alignment and distillation, and of a ranker's heads."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "CumulativeLink": "cumulative_link",
        "Distillation": "distillation",
        "InBatchSoftmax": "in_batch_softmax",
        "InfoNCE": "alignment",
        "LogitDistillation": "logit_distillation",
        "MultiTargetSoftmax": "multi_target_softmax",
        "NormalisedSquared": "normalised_squared",
        "SampledSoftmax": "sampled_softmax",
        "ZeroInflatedLogNormal": "zero_inflated_log_normal",
    },
)
