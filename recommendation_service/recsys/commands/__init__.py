"""One module a command of `recsys`: its flags, and what it does."""
