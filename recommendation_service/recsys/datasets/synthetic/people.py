"""The people of the synthetic world: what they like, what they say they like, since when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.datasets.synthetic.draws import draw_shares, draw_uuids, format_uuids
from recsys.datasets.synthetic.startups import N_STYLES, NICHES
from recsys.datasets.weights import SECONDS_A_DAY
from recsys.types import Float64Array, Int64Array

# The first three users, by the number of startups each acted on: one for every way of answering.
DEMO_USERS = {"demo-cold": 3, "demo-warm": 10, "demo-hot": 25}
MOST_SECTORS = 3  # somebody cares about one to three sectors
SECTOR_FOCUS = 3.0  # Dirichlet concentration over those sectors: the lower, the more one of them rules
NICHE_FOCUS = 4.0  # and over the niches of each
JOINED_BEFORE = 0.7  # the share of people who were there when the window opened
INTERESTS_SAID = 3
SMALLEST_SAID = 0.05  # a niche must be this much of a taste to be mentioned


@dataclass(frozen=True, slots=True)
class People:
    """Users with their hidden taste.

    `tastes` (n_users, n_niches) float64, rows add up to 1; `style` (n_users,) is the one they
    fall for; `joined_at` (n_users,) UTC seconds.
    """

    ids: tuple[str, ...]
    usernames: tuple[str, ...]
    interests: tuple[tuple[str, ...], ...]
    tastes: Float64Array
    style: Int64Array
    joined_at: Float64Array


def make_people(rng: np.random.Generator, n: int, *, now_s: float, window_days: float) -> People:
    """n users, the demo users first; those were there from the start."""
    tastes = _draw_tastes(rng, n)
    joined_days_ago = np.where(
        rng.random(n) < JOINED_BEFORE, window_days, rng.uniform(0.05, 1.0, n) * window_days
    )
    joined_days_ago[: len(DEMO_USERS)] = window_days
    usernames = (*DEMO_USERS, *(f"demo-{number}" for number in range(len(DEMO_USERS) + 1, n + 1)))
    return People(
        format_uuids(draw_uuids(rng, n)),
        usernames,
        _say_interests(tastes),
        tastes,
        rng.integers(0, N_STYLES, n),
        now_s - joined_days_ago * SECONDS_A_DAY,
    )


def _draw_tastes(rng: np.random.Generator, n: int) -> Float64Array:
    sectors, sector_of_niche = np.unique([sector for sector, _ in NICHES], return_inverse=True)
    liked = np.argsort(rng.random((n, len(sectors))), axis=1) < rng.integers(1, MOST_SECTORS + 1, (n, 1))
    of_sectors = draw_shares(rng, (n, len(sectors)), SECTOR_FOCUS) * liked
    of_niches = draw_shares(rng, (n, len(NICHES)), NICHE_FOCUS)
    within = np.zeros((n, len(sectors)))
    for niche, sector in enumerate(sector_of_niche):
        within[:, sector] += of_niches[:, niche]
    tastes = of_sectors[:, sector_of_niche] * of_niches / within[:, sector_of_niche]
    shares: Float64Array = tastes / tastes.sum(axis=1, keepdims=True)
    return shares


def _say_interests(tastes: Float64Array) -> tuple[tuple[str, ...], ...]:
    """The own tags of everybody's strongest niches, the strongest first."""
    strongest = np.argsort(-tastes, axis=1, kind="stable")[:, :INTERESTS_SAID]
    is_said = np.take_along_axis(tastes, strongest, axis=1) >= SMALLEST_SAID
    own_tag = [niche.tags[0] for _, niche in NICHES]
    return tuple(
        tuple(own_tag[niche] for niche, said in zip(niches, saids, strict=True) if said)
        for niches, saids in zip(strongest.tolist(), is_said.tolist(), strict=True)
    )
