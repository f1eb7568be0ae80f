"""Startups, people and half a year of acts, drawn from one seed; plain NumPy, vectorised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.datasets.catalogue import Catalogue, CatalogueItem, UserTable
from recsys.datasets.synthetic.acts import PRESETS, make_acts
from recsys.datasets.synthetic.draws import draw_uuids
from recsys.datasets.synthetic.people import DEMO_USERS, People, make_people
from recsys.datasets.synthetic.startups import Startups, adopt_startups, make_startups
from recsys.datasets.user_items import Dataset, build_user_items
from recsys.datasets.weights import DEFAULT_WEIGHTS, EventColumns, resolve_cells
from recsys.errors import ConfigError
from recsys.types import UInt8Array

WINDOW_DAYS = 182.0
FEWEST_USERS = len(DEMO_USERS)
FEWEST_STARTUPS = max(DEMO_USERS.values())
MOST_USERS = MOST_STARTUPS = 100_000  # drawn whole in memory: 100,000 dense users take 1.3 GB


@dataclass(frozen=True, slots=True)
class World:
    """Everything of a synthetic world, the hidden truth included.

    `acts` point into `people` and `startups` and are sorted by time; `event_ids` (n_acts, 16) are
    the bytes of their UUIDs.
    """

    startups: Startups
    people: People
    acts: EventColumns
    event_ids: UInt8Array


def make_world(n_users: int, n_startups: int, *, seed: int, now_s: float, preset: str = "dense") -> World:
    """The world of a seed: the same numbers give the same ids, tastes and acts.

    Args:
        n_users: the first three are demo-cold, demo-warm and demo-hot, who acted on 3, 10 and 25
            startups.
        n_startups: a fifth of them came while people were already acting.
        seed: a whole number from 0.
        now_s: UTC seconds; acts end here and began half a year before.
        preset: "dense", or "sparse" with 1.2 acts a user on average.

    Raises:
        ConfigError: fewer than 3 users or 25 startups, more than 100,000 of either, a negative seed,
            or an unknown preset.
    """
    rng = _seeded(seed, n_users, n_startups, preset)
    startups = make_startups(rng, n_startups, now_s=now_s, window_days=WINDOW_DAYS)
    return _populate(rng, startups, n_users, preset, now_s)


def populate_catalogue(
    items: Sequence[CatalogueItem], n_users: int, *, seed: int, now_s: float, preset: str = "dense"
) -> World:
    """People of a seed acting on startups that are there already; else as `make_world`.

    Args:
        items: from 25 to 100,000 startups; the same ones in the same order give the same world.

    Raises:
        ConfigError: as `make_world`.
    """
    rng = _seeded(seed, n_users, len(items), preset)
    return _populate(rng, adopt_startups(rng, items, now_s=now_s), n_users, preset, now_s)


def _seeded(seed: int, n_users: int, n_startups: int, preset: str) -> np.random.Generator:
    if n_users < FEWEST_USERS or n_startups < FEWEST_STARTUPS:
        raise ConfigError(
            f"A world needs at least {FEWEST_USERS} users and {FEWEST_STARTUPS} startups; "
            f"{n_users} and {n_startups} were asked for."
        )
    if n_users > MOST_USERS or n_startups > MOST_STARTUPS:
        raise ConfigError(
            f"A world has at most {MOST_USERS:,} users and {MOST_STARTUPS:,} startups; "
            f"{n_users:,} and {n_startups:,} were asked for."
        )
    if seed < 0:
        raise ConfigError(f"The seed is {seed}; give a whole number from 0.")
    if preset not in PRESETS:
        raise ConfigError(f"The preset {preset!r} is unknown; known: {', '.join(PRESETS)}.")
    return np.random.default_rng([seed, n_users, n_startups, list(PRESETS).index(preset)])


def _populate(rng: np.random.Generator, startups: Startups, n_users: int, preset: str, now_s: float) -> World:
    people = make_people(rng, n_users, now_s=now_s, window_days=WINDOW_DAYS)
    acts = make_acts(rng, people, startups, PRESETS[preset], now_s=now_s)
    return World(startups, people, acts, draw_uuids(rng, len(acts)))


def build_dataset(world: World) -> Dataset:
    """The world as a dataset, the way an export would make it."""
    people, startups = world.people, world.startups
    return build_user_items(
        resolve_cells(world.acts, DEFAULT_WEIGHTS),
        people.ids,
        [item.id for item in startups.items],
        catalogue=Catalogue(startups.items),
        users=UserTable(people.ids, people.interests, (False,) * len(people.ids)),
    )
