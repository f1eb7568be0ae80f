"""From a dataset to a published release: split, fit, evaluate, log, refit, publish."""
