"""The recommenders. A new one is one file, one test file, and one line in `table`."""
