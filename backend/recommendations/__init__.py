"""Trainings, their schedule, and the client of the inference service."""
