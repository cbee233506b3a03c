"""Several models as one: a weighted sum of their ranks or scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfrec_fusion.features.state import State
from tfrec_fusion.models.building import checked
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blend_config import BlendConfig
from tfrec_fusion.pipelines.blend_scorer import BlendScorer
from tfrec_fusion.pipelines.blend_serving import BlendServing
from tfrec_fusion.pipelines.composition import Composition, described


class Blend(Composition):
    """A model whose score is the weighted sum of what its members say of an item.

    With w the weights, the score of an item for a user is

    - "rank": `sum w / (k + rank)`, the reciprocal rank fusion of Cormack et al. (SIGIR 2009); the
      best item has rank 1, and tied items share the mean of their ranks;
    - "zscore": `sum w (score - mean) / std` over the items; a member that scores all the same adds
      0;
    - "weighted": `sum w score`, for members whose scores have one unit.

    Ranks, means and standard deviations are those among the user's candidates: the catalogue less
    the history, or all items if repeated events count. Filters, rules and exclusions apply to the
    blended scores and change no rank. Differences within the rounding of float32 are ties.

    Members of fitted interactions know nothing of an item without an event, and pull it down. With
    `cold`, such items keep the blended scores of all of them, dealt out in the order of one member,
    e.g. one that reads texts: among themselves they have its order, and the other items stay.

    A blend is a model: it is evaluated, saved, exported and served as its members are.

    Args:
      members: name -> fitted model that ranks the catalogue, deep or classic. Names are letters,
        digits and "_".
      weights: name -> weight of 0 or more; by default 1 each.
      how, k, cold, new_users: see `BlendConfig`. `new_users` is a `NewUsers` or a dict of its
        fields: members that need a history may be left out for users who have none.

    Raises:
      InputError: a member is no fitted model that ranks the catalogue, members do not belong
        together, or an option is invalid.

    Example:
      >>> from tfrec_fusion.models.classic import EASE, RecentPopularity
      >>> members = {"ease": EASE().fit(split.train), "recent": RecentPopularity().fit(split.train)}
      >>> blend = Blend(members, weights={"ease": 1.0, "recent": 0.5})
      >>> tff.evaluation.evaluate(blend, split).name
      'blend of ease, recent'
    """

    kind = "blend"
    explains = True

    def __init__(
        self,
        members: Mapping[str, Model],
        *,
        weights: Mapping[str, float] | None = None,
        how: str = "rank",
        k: float = 10.0,
        cold: str | None = None,
        new_users: Mapping[str, Any] | None = None,
    ):
        super().__init__(members)
        options = {"how": how, "k": k, "cold": cold, "new_users": new_users}
        options["weights"] = dict.fromkeys(members, 1.0) if weights is None else weights
        options["members"] = described(members)
        self.config = checked("Blend", BlendConfig, options)

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return f"blend of {', '.join(self.members)}"

    def scorer(self, state: State) -> BlendScorer:
        """Returns a function: user rows `[B]`, -1 unknown -> scores `[B, n_items]` float32."""
        return BlendScorer(self.config, self.member_scorers(state), state)

    def explainer(self, state: State) -> BlendScorer:
        """Returns what splits the scores of a state into shares, for `evaluation.explain`."""
        return self.scorer(state)

    def serving(
        self, state: State, precision: str = "float32", explain: bool = False
    ) -> BlendServing:
        """Returns the scoring graph to export, with the members' tables stored in `precision`."""
        members = self.member_servings(state, precision)
        return BlendServing(self.config, members, state.seen, self.spec.repeats == "first", explain)
