"""The ways to solve ALS: one module an engine, one factor format out of all of them."""
