"""What the answers of an export mean, for all its signatures; the model card repeats it."""

from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.serving.similar_items import SimilarItems
from tfrec_fusion.models.towers.event_features import EventFeatures

CATALOGUE_SEMANTICS = (
    "Scores are as of the export: item trends and the ages of stored histories do not change until "
    "the next export.",
    "An unknown user without a history gets the items that are popular as of the export.",
    "Scores of recommend, recommend_user, recommend_history and serving_default include the boosts "
    "of the rules; the other signatures apply no boosts.",
    "Items that are blocked, excluded, seen, not in include or removed by a filter are never "
    "returned. Pinned items are at their positions, the best other items follow in order, and caps "
    "hold for the whole answer; all pins count towards them first, those beyond k too.",
    "An unknown item is scored as a new item of which nothing is known, and is never recommended. "
    "Unknown ids in history and exclude are ignored.",
    "Items of equal score are in catalogue order.",
)
"""For models that rank a catalogue."""

FEATURE_SEMANTICS = (
    "Features of users are those of the users' table as of the export; those that a request gives "
    "replace them, and describe a user that the export does not know.",
)
"""In addition, for exports whose requests may give features of users."""

CONTEXT_SEMANTICS = (
    "Of a context that a request leaves out nothing is known; a request without a time is at the "
    "time of the export.",
)
"""In addition, for exports whose requests may give a context."""

EVENT_SEMANTICS = (
    "Features of past events are those of the stored histories as of the export. Of the events of "
    "a history in the request only the items are known.",
)
"""In addition, for exports of models that read features of events."""

FIRST_SEMANTICS = (
    "Items of the history in use and excluded items are never returned, even if fewer than k items "
    "are left. Scores of items in the user's own history are meaningless: training masks them. "
    "Repeated ids in a history are ignored.",
)
"""In addition, if only the first event of a user and an item counts."""

REPEATED_SEMANTICS = (
    "Repeated events count, so items of the history are recommended again, unless exclude_seen is "
    "True. Repeated ids in a history of the request count as often as they occur.",
)
"""In addition, if repeated events count."""

STEP_SEMANTICS = (
    "Events have an order and no times: the age of a history item is the number of later items, "
    "also in a history of the request.",
)
"""In addition, if the events have positions and no times."""

RERANKED_SEMANTICS = (
    "The export's rerankers change the order and the scores of recommend, recommend_user, "
    "recommend_history and serving_default, after filters, boosts and caps and before pins; the "
    "answer for a smaller k may differ from the beginning of the answer for a larger one.",
)
"""In addition, for exports with rerankers."""

RANKER_SEMANTICS = (
    "Scores are as of the export: item trends and the ages of stored histories do not change until "
    "the next export.",
    "Unknown and repeated ids in a history of the request are ignored.",
    "Scores of items in the user's own history are meaningless if training had no repeated "
    "purchases.",
)
"""For models that score the items of a request."""


def history_semantics(reads_ages: bool) -> tuple[str, ...]:
    """The sentence about histories in requests."""
    replaces = "A history in the request replaces the stored one; "
    if not reads_ages:
        return (f"{replaces}its items count as bought now, the last one as the latest.",)
    return (
        f"{replaces}its items are as old as history_age says, and count as bought now where it "
        "says nothing. They are in order of age, and the last of equal age is the latest.",
    )


def feature_semantics(
    requested: RequestFeatures | None, events: EventFeatures | None
) -> tuple[str, ...]:
    """The sentences about the features that requests may give, and those of past events."""
    past = () if events is None else EVENT_SEMANTICS
    if requested is None:
        return past
    users = () if requested.users is None else FEATURE_SEMANTICS
    return users + (() if requested.context is None else CONTEXT_SEMANTICS) + past


def similar_semantics(similar: SimilarItems | None) -> tuple[str, ...]:
    """The sentences about similar items."""
    if similar is None:
        return ()
    return (
        f"Similar items are compared by {similar.kind}; the item itself and blocked items are "
        "never returned, and an unknown item has no similar items.",
    )
