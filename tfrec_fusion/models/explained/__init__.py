"""Explanations: a score as the sum of Shapley shares of the model's inputs."""
