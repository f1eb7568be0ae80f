"""What the people of the synthetic world do: whom they meet, and the acts that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.datasets.synthetic.draws import draw_from_rows
from recsys.datasets.synthetic.people import DEMO_USERS, People
from recsys.datasets.synthetic.startups import N_STYLES, NICHES, Startups
from recsys.datasets.weights import SECONDS_A_DAY, SIGNALS, EventColumns
from recsys.types import BoolArray, Float64Array, Int64Array

LIKED_SHARE = 0.02  # a startup is to somebody's taste when its niche is this much of it
STYLE_PULL = 4.0  # a startup of one's style is met this many times as often as another of its niche
UNKNOWN_TASTE = 0.002  # what a startup outside somebody's taste counts for
HANDFUL = 4
MOST_MEETINGS = 150
PICKS_A_MEETING = 3  # candidates drawn for every meeting wanted: some are drawn twice

# Chance that a meeting leads to an act, when the startup is to taste and when it is not.
CHANCES = {
    "click": (0.60, 0.20),
    "like": (0.35, 0.03),
    "favorite": (0.15, 0.01),
    "apply": (0.08, 0.00),
    "interest": (0.10, 0.00),
    "dislike": (0.02, 0.35),
}
VIEWED_AGAIN = (0.8, 0.1)  # further views on average
STARTS_WITH_A_CLICK = 0.1
CHANGES_TO_LIKE = 0.15  # of those who disliked
CHANGES_TO_DISLIKE = 0.05  # of those who liked
# Where an act is all there is of a meeting: the chance of each type, in the order of SIGNALS.
ONLY_ACT = ((0.45, 0.20, 0.15, 0.02, 0.08, 0.05, 0.05), (0.53, 0.15, 0.02, 0.28, 0.01, 0.005, 0.005))
MINUTES, DAYS = 60.0, SECONDS_A_DAY


@dataclass(frozen=True, slots=True)
class Preset:
    """How busy a world is.

    `typical_meetings` is the median number of startups a user meets, `spread` the deviation of its
    logarithm, `newcomers` the share of users who met a handful at most; a `strangers` share of
    meetings has nothing to do with taste. With `single_acts` people do `acts_a_user` acts on
    average and seldom come back.
    """

    typical_meetings: float = 0.0
    spread: float = 0.0
    newcomers: float = 0.0
    strangers: float = 0.1
    single_acts: bool = False
    acts_a_user: float = 0.0


PRESETS = {
    "dense": Preset(typical_meetings=50.0, spread=1.2, newcomers=0.05),
    "sparse": Preset(single_acts=True, acts_a_user=1.2),
}


@dataclass(frozen=True, slots=True)
class Meetings:
    """Who came across which startup, and when first; all (n_meetings,)."""

    users: Int64Array
    items: Int64Array
    to_taste: BoolArray
    started_at: Float64Array

    def __len__(self) -> int:
        return len(self.users)


def make_acts(
    rng: np.random.Generator, people: People, startups: Startups, preset: Preset, *, now_s: float
) -> EventColumns:
    """Every act up to now, in the order of time."""
    demo_users, demo_items = _demo_picks(rng, people, startups)
    n_meetings = _numbers_of_meetings(rng, len(people.ids), len(startups.items), preset)
    users, items = _picks(rng, people, startups, n_meetings, preset)
    demo = _meet(rng, people, startups, demo_users, demo_items, now_s)
    others = _meet(rng, people, startups, users, items, now_s)
    acts = _Acts(now_s)
    _act_fully(rng, demo, acts)
    if preset.single_acts:
        _act_once(rng, others, acts)
    else:
        _act_fully(rng, others, acts)
    return acts.in_order()


def _demo_picks(
    rng: np.random.Generator, people: People, startups: Startups
) -> tuple[Int64Array, Int64Array]:
    """Exactly as many different startups as each demo user is known for, mostly to their taste."""
    users, items = [], []
    for user, n_startups in enumerate(DEMO_USERS.values()):
        pull = np.where(startups.style == people.style[user], STYLE_PULL, 1.0)
        attraction = (people.tastes[user, startups.niche] + UNKNOWN_TASTE) * pull * startups.popularity
        keys = np.log(attraction) + rng.gumbel(size=len(attraction))  # top k of these: no repeats
        items.append(np.argsort(-keys, kind="stable")[:n_startups])
        users.append(np.full(n_startups, user))
    return np.concatenate(users), np.concatenate(items)


def _numbers_of_meetings(
    rng: np.random.Generator, n_users: int, n_startups: int, preset: Preset
) -> Int64Array:
    if preset.single_acts:
        numbers = 1 + rng.poisson(preset.acts_a_user - 1.0, n_users)
    else:
        drawn = rng.lognormal(np.log(preset.typical_meetings), preset.spread, n_users)
        numbers = np.clip(drawn.astype(np.int64), 1, min(n_startups // 3, MOST_MEETINGS))
        is_new = rng.random(n_users) < preset.newcomers
        numbers[is_new] = rng.integers(1, HANDFUL + 1, n_users)[is_new]
    numbers[: len(DEMO_USERS)] = 0
    return numbers.astype(np.int64)


def _picks(
    rng: np.random.Generator, people: People, startups: Startups, n_meetings: Int64Array, preset: Preset
) -> tuple[Int64Array, Int64Array]:
    """Users and items of all meetings: a niche by taste, in it a startup by style and fame."""
    wanted = n_meetings if preset.single_acts else n_meetings * PICKS_A_MEETING
    users = np.repeat(np.arange(len(wanted)), wanted)
    niches = draw_from_rows(rng, people.tastes, users)
    shares = _shares_of_startups(startups)
    by_chance = rng.random(len(users)) < preset.strangers
    rows = np.where(by_chance, len(shares) - 1, niches * N_STYLES + people.style[users])
    items = draw_from_rows(rng, shares, rows)
    if preset.single_acts:
        return users, items
    return _first_different(users, items, n_meetings)


def _shares_of_startups(startups: Startups) -> Float64Array:
    """A row for each niche and style somebody may look for, and a last one for mere fame."""
    fame = startups.popularity / startups.popularity.sum()
    in_niche = startups.niche == np.arange(len(NICHES))[:, None]
    in_style = startups.style == np.arange(N_STYLES)[:, None]
    drawn = fame * in_niche[:, None, :] * np.where(in_style, STYLE_PULL, 1.0)
    drawn[~in_niche.any(axis=1)] = fame  # nobody is in that niche: anybody, then
    return np.vstack([drawn.reshape(-1, len(fame)), fame])


def _first_different(
    users: Int64Array, items: Int64Array, wanted: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """The first `wanted` different items of every user; `users` is sorted."""
    _, first = np.unique(users * (int(items.max(initial=0)) + 1) + items, return_index=True)
    first.sort()
    users, items = users[first], items[first]
    starts = np.searchsorted(users, np.arange(len(wanted)))
    kept = np.arange(len(users)) - starts[users] < wanted[users]
    return users[kept], items[kept]


def _meet(
    rng: np.random.Generator,
    people: People,
    startups: Startups,
    users: Int64Array,
    items: Int64Array,
    now_s: float,
) -> Meetings:
    earliest = np.maximum(people.joined_at[users], startups.born_at[items])
    return Meetings(
        users,
        items,
        people.tastes[users, startups.niche[items]] >= LIKED_SHARE,
        earliest + (now_s - earliest) * rng.random(len(users)),
    )


def _act_fully(rng: np.random.Generator, meetings: Meetings, acts: _Acts) -> None:
    """Views, further views, clicks, an opinion and sometimes another one, later."""
    n = len(meetings)
    first = np.where(rng.random(n) < STARTS_WITH_A_CLICK, SIGNALS.index("click"), SIGNALS.index("view"))
    acts.add(meetings, first, np.zeros(n))
    again = rng.poisson(_by_taste(VIEWED_AGAIN, meetings))
    for number in range(int(again.max(initial=0))):
        acts.add(meetings, "view", rng.exponential(8 * DAYS, n), again > number)
    did = {name: rng.random(n) < _by_taste(chances, meetings) for name, chances in CHANCES.items()}
    for name, done in did.items():
        slow = DAYS if name in ("apply", "interest") else 20 * MINUTES
        acts.add(meetings, name, rng.exponential(slow, n), done)
    second_thoughts = rng.random(n)
    later = 2 * DAYS + rng.exponential(10 * DAYS, n)
    acts.add(meetings, "like", later, did["dislike"] & (second_thoughts < CHANGES_TO_LIKE))
    liked = (did["like"] | did["favorite"]) & ~did["dislike"]
    acts.add(meetings, "dislike", later, liked & (second_thoughts < CHANGES_TO_DISLIKE))


def _act_once(rng: np.random.Generator, meetings: Meetings, acts: _Acts) -> None:
    row = np.where(meetings.to_taste, 0, 1)
    acts.add(meetings, draw_from_rows(rng, np.array(ONLY_ACT), row), np.zeros(len(meetings)))


def _by_taste(chances: tuple[float, float], meetings: Meetings) -> Float64Array:
    return np.where(meetings.to_taste, *chances)


class _Acts:
    """Acts as they are thought of; what would happen after now is left out."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        self._columns: list[tuple[Int64Array, Int64Array, Int64Array, Float64Array]] = []

    def add(
        self,
        meetings: Meetings,
        kind: str | Int64Array,
        delay_s: Float64Array,
        done: BoolArray | None = None,
    ) -> None:
        """An act of each meeting, `delay_s` after it started; only where `done`."""
        occurred_at = meetings.started_at + delay_s
        happened = occurred_at <= self._now_s
        if done is not None:
            happened &= done
        codes = np.full(len(meetings), SIGNALS.index(kind)) if isinstance(kind, str) else kind
        self._columns.append(
            (meetings.users[happened], meetings.items[happened], codes[happened], occurred_at[happened])
        )

    def in_order(self) -> EventColumns:
        """All of them by time."""
        users, items, codes, occurred_at = (
            np.concatenate(parts) for parts in zip(*self._columns, strict=True)
        )
        order = np.argsort(occurred_at, kind="stable")
        return EventColumns(
            users[order],
            items[order],
            codes[order].astype(np.uint8),
            np.round(occurred_at[order], 3),
            np.arange(len(order)),
        )
