"""Several models as one: a network ranks the best items of all of them."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models.building import checked
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.composition import Composition, described
from tfrec_fusion.pipelines.stack_config import StackConfig
from tfrec_fusion.pipelines.stack_inputs import StackInputs
from tfrec_fusion.pipelines.stack_scorer import StackScorer
from tfrec_fusion.pipelines.stack_serving import StackServing


class Stack(Composition):
    """A model that ranks the best items of its members by a network, its head.

    Stacked generalization (Wolpert, Neural Networks 1992): the head reads what each member says of
    a candidate, and the numbers of the item and the user as of the same time (see `StackGraph`).
    The candidates of a user are the best items by the sum of the members' reciprocal ranks; all
    others follow in the order of that sum.

    `training.choose_stack` trains the members and the head. The head must see only scores of items
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

    kind = "stack"
    networks = ("head",)
    explains = False

    def __init__(self, members: Mapping[str, Model], head: keras.Model, **options):
        super().__init__(members)
        if not isinstance(head, keras.Model) or not head.built:
            raise InputError(
                "Stack: head must be a built Keras model, as choose_stack trains it. "
                f"Received: {type(head).__name__}"
            )
        self.head = head
        self.config = checked("Stack", StackConfig, options | {"members": described(self.members)})

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return f"stack of {', '.join(self.members)}"

    @property
    def refreshes(self) -> bool:
        """True: newer events change the numbers of the items."""
        return True

    def scorer(self, state: State) -> StackScorer:
        """Returns a function: user rows `[B]`, -1 unknown -> scores `[B, n_items]` float32."""
        return StackScorer(self.config, self._inputs(state), self.head, state)

    def serving(self, state: State, precision: str = "float32") -> StackServing:
        """Returns the scoring graph to export, with the members' tables stored in `precision`."""
        members, masks = self.member_servings(state, precision), self.spec.repeats == "first"
        graph, timed = self._inputs(state).graph, state.time is not None
        return StackServing(self.config, members, graph, self.head, state.seen, masks, timed)

    def _inputs(self, state: State) -> StackInputs:
        self.check(state.events)
        inputs = StackInputs(self.config, self.members, tuple(self.spec.numbers), state)
        found, wanted = inputs.graph.width(len(self.members)), self.head.input_shape[-1]
        if found != wanted:
            raise InputError(
                "Stack: the head was trained on other members, or on events with timestamps where "
                f"these have none, or the reverse. Received: {found} inputs of a candidate, "
                f"{wanted} in training"
            )
        return inputs
