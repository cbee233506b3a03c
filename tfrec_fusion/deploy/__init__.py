"""Files for deploying to TF Serving: warm-up requests, server configs and manifests."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "DeploymentConfig": "deployment_config",
        "label_versions": "deployment",
    },
)
