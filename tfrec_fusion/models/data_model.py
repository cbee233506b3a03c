"""What the models that are built from training events have in common."""

from __future__ import annotations

from tfrec_fusion._compat import tfrs


class DataModel(tfrs.Model):
    """A model whose constructor takes events or their saved description, and makes every variable.

    A subclass sets `spec`, a pydantic model of what it took from the events, and `config`, one of
    its options, and its constructor takes `(spec, name=, **options)`.
    """

    def get_config(self):
        return {
            "name": self.name,
            "data": self.spec.model_dump(mode="json"),
            **self.config.model_dump(mode="json"),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)

    def build_from_config(self, config):
        """Nothing is left to build."""
