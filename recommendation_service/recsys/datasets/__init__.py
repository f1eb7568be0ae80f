"""Datasets: what people did, as matrices, and the files they are kept in."""
