"""The catalogue of startups."""
