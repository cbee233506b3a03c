"""The logit assigned to masked candidates."""

# Below any real logit, but far enough from the float32 limit that sums stay finite.
MASKED = -1e9
