"""Several models as one: a network ranks the best items of all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from tfrec_fusion._compat import keras
from tfrec_fusion.config import read_json
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.files import current_folder, new_folder
from tfrec_fusion.models.building import checked
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.composition import Composition, described
from tfrec_fusion.pipelines.stack_config import StackConfig
from tfrec_fusion.pipelines.stack_inputs import StackInputs
from tfrec_fusion.pipelines.stack_scorer import StackScorer
from tfrec_fusion.pipelines.stack_serving import StackServing

_DESCRIBED, _HEAD = "stack.json", "head.keras"


class Stack(Composition):
    """A model that ranks the best items of its members by a network, its head.

    Stacked generalization (Wolpert, Neural Networks 1992): the head reads what each member says of
    a candidate, and the numbers of the item and the user as of the same time (see `StackGraph`).
    The candidates of a user are the best items by the sum of the members' reciprocal ranks; all
    others follow in the order of that sum.

    `training.fit_stack` trains the members and the head. The head must see only scores of items
    that the members do not know from training, or else it trusts those that remember best.

    A stack is a model: it is evaluated, saved, exported and served as its members are.

    Args:
      members: name -> fitted model that ranks the catalogue.
      head: network from inputs `[B, C, n_inputs]` to logits `[B, C]`, see `stack_head`.
      candidates, k, hidden, dropout, cold: see `StackConfig`.

    Raises:
      InputError: a member is no fitted model that ranks the catalogue, members do not belong
        together, or an option is invalid.
    """

    explains = False

    def __init__(self, members: Mapping[str, Model], head: keras.Sequential, **options):
        super().__init__(members)
        self.head = head
        self.config = checked("Stack", StackConfig, options | {"members": described(self.members)})

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return f"stack of {', '.join(self.members)}"

    def scorer(self, state: State) -> StackScorer:
        """Returns a function: user rows `[B]`, -1 unknown -> scores `[B, n_items]` float32."""
        return StackScorer(self.config, self._inputs(state), self.head, state)

    def serving(self, state: State, precision: str = "float32") -> StackServing:
        """Returns the scoring graph to export, with the members' tables stored in `precision`."""
        members, masks = self.member_servings(state, precision), self.spec.repeats == "first"
        graph = self._inputs(state).graph
        return StackServing(self.config, members, graph, self.head, state.seen, masks)

    def _inputs(self, state: State) -> StackInputs:
        self.check(state.events)
        inputs = StackInputs(self.config, self.members, tuple(self.spec.numbers), state)
        found, wanted = inputs.graph.width(len(self.members)), self.head.input_shape[-1]
        if found != wanted:
            raise InputError(
                "Stack: the events have no timestamps and those of training had them, or the "
                f"reverse. Received: {found} inputs of a candidate, {wanted} in training"
            )
        return inputs

    def save(self, path: str | os.PathLike) -> None:
        """Saves the stack and its members atomically as a folder that `load` reads.

        Raises:
          OSError: the disk is full.
        """
        with new_folder(path) as folder:
            self.head.save(folder / _HEAD)
            saved = {
                "format": 1,
                "config": self.config.model_dump(mode="json", exclude={"members"}),
                "members": self.save_members(folder),
            }
            (folder / _DESCRIBED).write_text(json.dumps(saved, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Stack:
        """Loads a stack from a folder that `save` wrote.

        Raises:
          InputError: the folder holds no stack, or a member cannot be loaded.
        """
        folder = current_folder(path)
        if not (folder / _DESCRIBED).is_file():
            raise InputError(f"Stack: the path has no saved stack. Received: {path}")
        saved = read_json(folder / _DESCRIBED, "stack")
        members = cls.load_members(folder, saved["members"])
        head = keras.models.load_model(folder / _HEAD, compile=False)
        return cls(members, head, **saved["config"])
