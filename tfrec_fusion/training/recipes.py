"""Builds the model and the training examples of a config."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.embeddings import SpectralVectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features.side import Side
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.models.classic import ClassicModel
from tfrec_fusion.models.classic.spectral import spectral_vectors
from tfrec_fusion.optimizers import adam, resolve
from tfrec_fusion.pipelines import Blend
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.joint_configs import joint_batches
from tfrec_fusion.training.model_sections import BLEND, MODELS
from tfrec_fusion.training.steps_per_execution import StepsPerExecution
from tfrec_fusion.training.time_budget import plan_budget

TRAINED = {"TwoTower": TwoTower, "Ranker": Ranker}
"""Class name in a checkpoint -> class, of the models that are trained in epochs."""

# A model that reads a context refuses them.
_WITHOUT_CONTEXT = ("autoencoder", "held_out", "sequence")


def build_model(config: RunConfig, train: Interactions) -> keras.Model | ClassicModel:
    """Builds the untrained model of a resolved config.

    Raises:
      InputError: a `module:Class` cannot be imported or is no `ClassicModel`, or its options are
        invalid.
    """
    options = config.model.model_dump(exclude={"kind"})
    if not config.by_gradient:
        made = MODELS.resolve(config.model.kind)
        if not (isinstance(made, type) and issubclass(made, ClassicModel)):
            raise InputError(
                "model.kind: must name a subclass of tfrec_fusion.models.classic.ClassicModel. "
                f"Received: {config.model.kind!r}"
            )
        return made(**options)
    if config.model.kind == "ranker":
        return Ranker(train, name="ranker", **options)
    return TwoTower(train, initial=_spectral(config, train), name="two_tower", **options)


def blended(config: RunConfig, members: Mapping[str, Any]) -> Blend:
    """Blends trained members as a config of `model.kind: blend` says."""
    return Blend(members, **config.model.model_dump(exclude={"kind", "members"}))


def training_batches(
    config: RunConfig,
    train: Interactions,
    first_epoch: int = 0,
    context_side: Side | None = None,
    steps_per_epoch: int | None = None,
    event_side: Side | None = None,
) -> tf.data.Dataset:
    """Returns the training examples of a resolved config, starting at `first_epoch`.

    Args:
      context_side: the context features of the model.
      steps_per_epoch: most batches of an epoch; None for all.
      event_side: the features of past events of the model.
    """
    if config.joint:
        return joint_batches(
            config,
            lambda one, first: training_batches(
                one, train, first, context_side, steps_per_epoch, event_side
            ),
            first_epoch,
        )
    examples: Any = config.examples
    options = examples.model_dump(exclude={"kind"}) | {"seed": config.seed}
    options["steps_per_epoch"] = steps_per_epoch
    if context_side is not None and getattr(examples, "kind", None) not in _WITHOUT_CONTEXT:
        options["context_side"] = context_side
    if event_side is not None:
        options["event_side"] = event_side
    if config.model.kind == "two_tower":
        return train.batches(
            config.batch_size, examples=examples.kind, first_epoch=first_epoch, **options
        )
    return ranking_examples(
        train,
        config.batch_size,
        first_epoch=first_epoch,
        **options,
    )


def compile_model(config: RunConfig, model: keras.Model, steps: int) -> None:
    """Compiles a model with the optimizer of a resolved config, for a number of steps."""
    chosen: Any = config.optimizer
    model.compile(resolve(chosen) if chosen else adam(config.learning_rate, steps=steps))


def trained_model(
    config: RunConfig,
    train: Interactions,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.Model | ClassicModel | Blend:
    """Builds and trains the model of a resolved config, as a run does, without a folder.

    A `time_budget` holds for this training, or for that of the member that has it.

    Args:
      callbacks: of a training in epochs; models that are fitted at once call none.
    """
    if config.model.kind == BLEND:
        members = config.member_configs()
        trained = {name: trained_model(one, train, callbacks) for name, one in members.items()}
        return blended(config, trained)
    started = time.perf_counter()
    keras.utils.set_random_seed(config.seed)
    model: Any = build_model(config, train)
    if not config.by_gradient:
        return model.fit(train)
    epochs = config.epochs or 0
    if not epochs:
        return model
    steps = config.steps_per_epoch
    if config.time_budget is not None:
        steps = _planned_steps(config, train, model, started) or steps
    batches = _batches(config, train, model, steps)
    compile_model(config, model, epochs * len(batches))
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[StepsPerExecution(), *callbacks])
    return model


def within_budget(config: RunConfig, train: Interactions) -> RunConfig:
    """Replaces the `time_budget` of a resolved config by the `steps_per_epoch` that fit into it.

    Trained with these, a model depends on the seed and no longer on the machine's speed.

    Raises:
      InputError: the budget ends before a step of each epoch is done.
    """
    if config.time_budget is None or not config.epochs:
        return config
    started = time.perf_counter()
    model: Any = build_model(config, train)
    steps = _planned_steps(config, train, model, started) or config.steps_per_epoch
    return config.model_copy(update={"time_budget": None, "steps_per_epoch": steps})


def _batches(config: RunConfig, train: Interactions, model, steps: int | None) -> tf.data.Dataset:
    return training_batches(
        config,
        train,
        context_side=model.spec.context_side,
        steps_per_epoch=steps,
        event_side=model.spec.event_side,
    )


def _planned_steps(config: RunConfig, train: Interactions, model, started: float) -> int | None:
    """The steps of an epoch within the budget; None for all."""
    planned = plan_budget(
        model,
        _batches(config, train, model, config.steps_per_epoch),
        partial(compile_model, config),
        epochs=cast(int, config.epochs),
        budget=cast(float, config.time_budget),
        started=started,
    )
    return planned.steps_per_epoch


def _spectral(config: RunConfig, train: Interactions) -> SpectralVectors | None:
    if not config.spectral:
        return None
    return spectral_vectors(train, config.spectral, cast(Any, config.model).dim)[0]
