"""A score as a sum of shares of the model's inputs."""
