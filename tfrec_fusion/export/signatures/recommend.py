"""The signature `recommend`."""

from __future__ import annotations

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY, USER, ranked
from tfrec_fusion.signature import Tensor

REQUEST_INPUTS = (
    USER,
    HISTORY,
    Tensor(
        "exclude",
        "string",
        "[B, E]",
        'item ids that must not come back, "" pads',
        kind="item",
    ),
    Tensor(
        "include",
        "string",
        "[B, C]",
        'only these item ids may come back, "" pads; all "" restricts nothing, all unknown leaves '
        "nothing",
        kind="choice",
    ),
    Tensor(
        "exclude_seen",
        "bool",
        "[B]",
        "True also excludes the baked history where the request brings its own history",
    ),
    Tensor(
        "k",
        "int32",
        "[B]",
        "how many; the largest of the request rules, below 0 counts as 0 and above the number of "
        "items as that",
        kind="count",
    ),
)
"""Its inputs beside the filters of an export."""


class Recommend(ServedSignature):
    """The best items for each user, with all that a request can ask for."""

    name = "recommend"
    does = "the k best items for each user"
    outputs = ranked("k")
    merges = True

    @property
    def inputs(self):
        return (*REQUEST_INPUTS, *self.served.filters.inputs)

    def answer(self, /, **inputs):
        return self.served.best(inputs, self.served.most(inputs["k"]), self.merged)
