"""What a score becomes that must not count."""

# Below any logit, and far enough from float32's end that sums stay finite.
MASKED = -1e9
