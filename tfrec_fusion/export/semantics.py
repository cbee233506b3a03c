"""The rules that hold for all signatures of an export, which its card repeats."""

CATALOGUE_SEMANTICS = (
    "Scores are the model's as of the export: item trends and the ages of baked histories stand "
    "still until the next one.",
    "A history in the request takes the place of the baked one; its items count as bought now.",
    "Items of the history in use and excluded items never come back, even when fewer than k are "
    "left. A score of an item of the user's own history means nothing: training masks it.",
    "A user who is unknown and comes without a history gets the list that is popular as of the "
    "export.",
    "Scores of recommend and serving_default hold the boosts of the rules; those of the others "
    "know of no rules.",
    "What is blocked, excluded, seen, not in include or stopped by a filter never comes back. Pins "
    "stand at their positions, of what is left the best come in order, and caps hold for the whole "
    "answer, towards which all pins count first, those beyond k too.",
    "An unknown item scores as a new item of which nothing is known, and is never recommended. "
    "Unknown and repeated ids in history and exclude change nothing.",
    "Equal scores keep the order of the catalogue.",
)
"""Of what ranks a catalogue."""

RERANKED_SEMANTICS = (
    "The rerankers of the export change the order and the scores of recommend and serving_default, "
    "after filters, boosts and caps and before pins; the answer to a smaller k may differ from the "
    "beginning of that to a larger one.",
)
"""What more holds where there are some."""

RANKER_SEMANTICS = (
    "Scores are the model's as of the export: item trends and the ages of baked histories stand "
    "still until the next one.",
    "A history in the request takes the place of the baked one; its items count as bought now. "
    "Unknown and repeated ids in it change nothing.",
    "A score of an item of the user's own history means nothing where the model never saw one "
    "taken twice.",
)
"""Of what scores the items that it is given."""
