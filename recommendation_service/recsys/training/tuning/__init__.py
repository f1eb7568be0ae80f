"""Choosing hyper-parameters: a plain grid, and a search in three stages."""
