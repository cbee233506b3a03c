"""Builds the model and the training examples of a config."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.embeddings import SpectralVectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import distillation_examples, ranking_examples
from tfrec_fusion.features.side import Side
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.models.classic import ClassicModel
from tfrec_fusion.models.classic.spectral import spectral_vectors
from tfrec_fusion.optimizers import adam, resolve
from tfrec_fusion.pipelines import Blend, RankerEnsemble, TwoStage
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.joint_configs import joint_batches
from tfrec_fusion.training.model_sections import COMPOSED, MODELS, TWO_STAGE
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


def composed(config: RunConfig, members: Mapping[str, Any]) -> Blend | TwoStage:
    """Makes one model of trained members, as a config of a kind of `COMPOSED` says."""
    options = config.model.model_dump(exclude={"kind", "members"})
    if config.model.kind == TWO_STAGE:
        options = {name: options[name] for name in ("candidates", "retrieval_weight")}
        return TwoStage(**members, **options)
    return Blend(members, **options)


def hard_negatives(config: RunConfig, name: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of `ranking_examples` for the negatives of a member.

    The ranker of two stages has some of the candidates of the retrieval model; {} for others.

    Args:
      config: of the whole model.
      name: of the member.
      members: those that are trained already.
    """
    model: Any = config.model
    if model.kind != TWO_STAGE or name != "ranker" or not model.hard_share:
        return {}
    return {
        "negatives_from": members["retrieval"],
        "hard_pool": model.candidates,
        "hard_share": model.hard_share,
        "hard_cuts": model.hard_cuts,
    }


def training_batches(
    config: RunConfig,
    train: Interactions,
    first_epoch: int = 0,
    context_side: Side | None = None,
    steps_per_epoch: int | None = None,
    event_side: Side | None = None,
    label_rates: bool = False,
    hard: Mapping[str, Any] | None = None,
) -> tf.data.Dataset:
    """Returns the training examples of a resolved config, starting at `first_epoch`.

    Args:
      context_side: the context features of the model.
      steps_per_epoch: most batches of an epoch; None for all.
      event_side: the features of past events of the model.
      label_rates: whether the model reads rates of labels; only for a ranker.
      hard: see `hard_negatives`; only for a ranker.
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
    if hard and (train.label is None if options["negatives"] is None else options["negatives"]):
        options |= hard
    if label_rates:
        options["label_rates"] = True
    teacher = options.pop("teacher")
    batches = ranking_examples(train, config.batch_size, first_epoch=first_epoch, **options)
    return batches if teacher is None else distillation_examples(batches, _teacher(teacher, train))


def compile_model(config: RunConfig, model: keras.Model, steps: int) -> None:
    """Compiles a model with the optimizer of a resolved config, for a number of steps."""
    chosen: Any = config.optimizer
    model.compile(resolve(chosen) if chosen else adam(config.learning_rate, steps=steps))


def trained_model(
    config: RunConfig,
    train: Interactions,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    hard: Mapping[str, Any] | None = None,
) -> keras.Model | ClassicModel | Blend | TwoStage:
    """Builds and trains the model of a resolved config, as a run does, without a folder.

    A `time_budget` holds for this training, or for that of the member that has it.

    Args:
      callbacks: of a training in epochs; models that are fitted at once call none.
      hard: see `training_batches`.
    """
    if config.model.kind in COMPOSED:
        trained: dict[str, Any] = {}
        for name, one in config.member_configs().items():
            hard = hard_negatives(config, name, trained)
            trained[name] = trained_model(one, train, callbacks, hard)
        return composed(config, trained)
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
        steps = _planned_steps(config, train, model, started, hard) or steps
    batches = _batches(config, train, model, steps, hard)
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


def _batches(config, train, model, steps: int | None, hard=None) -> tf.data.Dataset:
    return training_batches(
        config,
        train,
        context_side=model.spec.context_side,
        steps_per_epoch=steps,
        event_side=model.spec.event_side,
        label_rates=model.spec.label_rates,
        hard=hard,
    )


def _planned_steps(config, train, model, started: float, hard=None) -> int | None:
    """The steps of an epoch within the budget; None for all."""
    planned = plan_budget(
        model,
        _batches(config, train, model, config.steps_per_epoch, hard),
        partial(compile_model, config),
        epochs=cast(int, config.epochs),
        budget=cast(float, config.time_budget),
        started=started,
    )
    return planned.steps_per_epoch


def _teacher(path: str, train: Interactions) -> Ranker | RankerEnsemble:
    """Loads a ranker or an ensemble that teaches.

    Raises:
      InputError: there is none at the path, or it is of other events.
    """
    if Path(path).suffix != ".keras":
        teacher: Any = RankerEnsemble.load(path)
    elif Path(path).is_file():
        teacher = keras.models.load_model(path, compile=False)
    else:
        raise InputError(f"examples.teacher: there is no such file. Received: {path}")
    if getattr(teacher, "ranks_catalogue", True):
        raise InputError(
            "examples.teacher: must be a saved Ranker or RankerEnsemble. "
            f"Received: {type(teacher).__name__}"
        )
    teacher.check(train)
    return teacher


def _spectral(config: RunConfig, train: Interactions) -> SpectralVectors | None:
    if not config.spectral:
        return None
    return spectral_vectors(train, config.spectral, cast(Any, config.model).dim)[0]
