"""Tables of events and items, checked and encoded as integer rows."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Catalogue": "catalogue",
        "History": "history",
        "Interactions": "interactions",
        "SearchEvents": "search_events",
        "Split": "split",
        "UserTable": "user_table",
        "Vocabulary": "vocabulary",
        "fetch_movielens": "movielens",
        "sample_folder": "samples",
    },
)
