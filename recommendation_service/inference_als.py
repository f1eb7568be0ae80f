"""ALS recommendations from Python:

from inference_als import ALSInference

als = ALSInference("models/als_v1.pkl")
results = als.recommend(user_id="some-uuid", limit=10)
results["startups"], results["method_used"]
"""

from recsys.serving.als_inference import ALSInference

__all__ = ["ALSInference"]
