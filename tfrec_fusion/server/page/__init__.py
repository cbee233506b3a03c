"""The page at `/`: look at what a version recommends and how it was measured."""
