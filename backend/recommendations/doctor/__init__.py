"""Checks of the whole chain, from the settings to an answer: what was found, and what to do."""
