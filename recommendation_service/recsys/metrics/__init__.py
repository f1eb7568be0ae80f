"""Metrics: pure functions from ranked lists and relevant items to one number a user."""
