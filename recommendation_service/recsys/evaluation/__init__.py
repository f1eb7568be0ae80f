"""A recommender over a split: ranked lists in batches, figures by tier, intervals, score ranges."""
