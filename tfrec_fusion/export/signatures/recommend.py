"""The signature `recommend`."""

from __future__ import annotations

import dataclasses

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import COUNT, HISTORY, HISTORY_AGE, USER, ranked
from tfrec_fusion.signature import Tensor

REQUEST_INPUTS = (
    USER,
    HISTORY,
    HISTORY_AGE,
    Tensor(
        "exclude",
        "string",
        "[B, E]",
        'item ids not to return, "" pads',
        kind="item",
    ),
    Tensor(
        "include",
        "string",
        "[B, C]",
        'the only item ids that may be returned, "" pads; all "" restricts nothing, all unknown '
        "leaves nothing",
        kind="choice",
    ),
    Tensor(
        "exclude_seen",
        "bool",
        "[B]",
        "True also excludes the stored history if the request has a history",
    ),
    COUNT,
)
"""Inputs of `recommend`, without the filters and the features of an export; `HISTORY_AGE` only of
models that read ages."""

REPEATED_INPUTS = tuple(
    one
    if one.name != "exclude_seen"
    else dataclasses.replace(
        one, meaning="True excludes the items of the history, stored or in the request"
    )
    for one in REQUEST_INPUTS
)
"""The same if repeated events count."""


class Recommend(ServedSignature):
    """The best items for each user, with history, exclusions, restrictions and filters."""

    name = "recommend"
    does = "the k best items for each user"
    outputs = ranked("k")
    merges = True

    @property
    def inputs(self):
        return self.served.request_inputs

    def answer(self, /, **inputs):
        return self.served.best(inputs, self.served.most(inputs["k"]), self.merged)
