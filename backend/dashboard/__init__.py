"""The operators' dashboard: what the system does, learns and answers."""
