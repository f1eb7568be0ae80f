"""python train_als.py --data data/als_interactions.npz --factors 128 --regularization 0.01 \\
                    --iterations 20 --alpha 40 --test-split 0.2

Trains ALS on the exported interactions, measures it beside popularity and content on the latest part
of them, refits it on all and publishes a release: models/als_v1.pkl, als_v1_user_factors.npy,
als_v1_item_factors.npy, als_v1_user_mapping.json and als_v1_item_mapping.json.
"""

from recsys.training.script import run_training

if __name__ == "__main__":
    raise SystemExit(run_training("als", __doc__))
