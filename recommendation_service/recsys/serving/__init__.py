"""Answering: live profiles and catalogue in Redis, releases as they are published, the router."""
