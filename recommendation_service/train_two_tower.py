"""python train_two_tower.py --data data/als_interactions.npz --dimensions 64 --epochs 30 --test-split 0.2

Trains the two-tower model on the exported interactions, with texts, tags and interests where the export
has them, measures it beside popularity and content on the latest part of the acts, refits it on all and
publishes a release: two_tower_items.npy, two_tower_inputs.npy and the arrays that place a new startup.
Needs PyTorch; answering from the release does not.
"""

from recsys.training.script import run_training

if __name__ == "__main__":
    raise SystemExit(run_training("two_tower", __doc__))
