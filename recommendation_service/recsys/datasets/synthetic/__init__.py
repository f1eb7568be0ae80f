"""A synthetic world in which everybody's taste is known, so that what is learned can be checked."""

from recsys.datasets.synthetic.acts import PRESETS
from recsys.datasets.synthetic.people import DEMO_USERS
from recsys.datasets.synthetic.world import World, build_dataset, make_world, populate_catalogue

__all__ = ["DEMO_USERS", "PRESETS", "World", "build_dataset", "make_world", "populate_catalogue"]
