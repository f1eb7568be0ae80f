"""The startups of the synthetic world: what they are about, how known they are, when they came."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.synthetic import words
from recsys.datasets.synthetic.draws import draw_uuids, format_uuids
from recsys.datasets.weights import SECONDS_A_DAY
from recsys.types import Float64Array, Int64Array

T = TypeVar("T")

N_STYLES = 4  # what draws people besides the subject; no text tells it
LATE_BORN = 0.2  # the share of startups that came while people were already acting
OLDEST_DAYS = 5 * 365.0
YOUNGEST_DAYS = 2.0
POPULARITY_SPREAD = 1.5  # of the logarithm: the best known is some 60 times the typical one
TEAM_SIZES = (2, 4, 9, 30, 90, 300)  # typical at each stage

NICHES: tuple[tuple[str, words.Niche], ...] = tuple(
    (sector, niche) for sector, niches in words.SECTORS.items() for niche in niches
)

OWN_TAG_WORTH = 5  # words in common
COMMON_WORDS = {
    "software",
    "platform",
    "teams",
    "without",
    "every",
    "from",
    "with",
    "that",
    "data",
    "service",
}


@dataclass(frozen=True, slots=True)
class Startups:
    """The catalogue with its hidden truth; arrays are (n_startups,).

    `niche` is a position in NICHES, `style` below N_STYLES, `popularity` a positive factor,
    `born_at` UTC seconds.
    """

    items: tuple[CatalogueItem, ...]
    niche: Int64Array
    style: Int64Array
    popularity: Float64Array
    born_at: Float64Array


def make_startups(rng: np.random.Generator, n: int, *, now_s: float, window_days: float) -> Startups:
    """n startups, every niche as full as chance has it; late ones born inside the window."""
    niche_size = rng.dirichlet(np.full(len(NICHES), 6.0))
    niche = rng.choice(len(NICHES), size=n, p=niche_size)
    style = rng.integers(0, N_STYLES, n)
    popularity = np.exp(rng.normal(0.0, POPULARITY_SPREAD, n))
    is_late = rng.random(n) < LATE_BORN
    age_days = np.where(
        is_late,
        rng.uniform(YOUNGEST_DAYS, window_days, n),
        rng.uniform(window_days, OLDEST_DAYS, n),
    )
    born_at = np.floor(now_s - age_days * SECONDS_A_DAY)
    names = _draw_names(rng, n)
    ids = format_uuids(draw_uuids(rng, n))
    items = tuple(
        _describe(rng, ids[i], names[i], NICHES[niche[i]], float(born_at[i]), float(age_days[i]))
        for i in range(n)
    )
    return Startups(items, niche, style, popularity, born_at)


def adopt_startups(rng: np.random.Generator, items: Sequence[CatalogueItem], *, now_s: float) -> Startups:
    """A catalogue that is there already, each startup in the niche whose tags and words it shares most.

    A startup that shares none is in a niche drawn at random: people meet it by its fame alone.
    """
    n = len(items)
    niche = np.array([_closest_niche(item) for item in items])
    niche = np.where(niche < 0, rng.integers(0, len(NICHES), n), niche)
    latest = now_s - YOUNGEST_DAYS * SECONDS_A_DAY
    return Startups(
        tuple(items),
        niche,
        style=rng.integers(0, N_STYLES, n),
        popularity=np.exp(rng.normal(0.0, POPULARITY_SPREAD, n)),
        born_at=np.minimum([item.created_at for item in items], latest),
    )


def _closest_niche(item: CatalogueItem) -> int:
    """The position in NICHES with the most words in common, own tags first; -1 for none."""
    words_of_item = _plain_words((item.name, item.short_description, item.long_description, *item.tags))
    shared = [
        OWN_TAG_WORTH * len(words_of_item & own) + len(words_of_item & others)
        for own, others in WORDS_OF_NICHES
    ]
    best = max(range(len(NICHES)), key=shared.__getitem__)
    return best if shared[best] else -1


def _plain_words(texts: Iterable[str]) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", " ".join(texts).lower())) - COMMON_WORDS


def _draw_names(rng: np.random.Generator, n: int) -> list[str]:
    """n names; a world of more startups than there are names has namesakes, as the real one has."""
    starts, ends, additions = words.NAME_STARTS, words.NAME_ENDS, words.NAME_ADDITIONS
    n_short = len(starts) * len(ends)
    numbers = np.concatenate(
        [rng.permutation(n_short) + n_short * (i % len(additions)) for i in range(-(-n // n_short))]
    )[:n]
    return [
        f"{starts[number % len(starts)]}{ends[number // len(starts) % len(ends)]} "
        f"{additions[number // n_short]}".strip()
        for number in numbers.tolist()
    ]


def _describe(
    rng: np.random.Generator,
    startup_id: str,
    name: str,
    sector_and_niche: tuple[str, words.Niche],
    born_at: float,
    age_days: float,
) -> CatalogueItem:
    sector, niche = sector_and_niche
    pick = _Picker(rng)
    city, country = pick.one(words.CITIES)
    products, customers, outcomes = (
        pick.two(options) for options in (niche.products, niche.customers, niche.outcomes)
    )
    phrases = {
        "name": name,
        "product": products[0],
        "other": products[1],
        "customer": customers[0],
        "outcome": outcomes[0],
        "tag": niche.tags[0].replace("-", " "),
        "sector": sector.lower(),
        "city": city,
        "many": f"{pick.below(90) * 100 + 300:,}",
        "year": datetime.fromtimestamp(born_at, UTC).year,
    }
    second = phrases | {"outcome": outcomes[1], "customer": customers[1], "product": products[1]}
    sentences = (
        pick.one(words.OPENINGS).format(**phrases),
        pick.one(words.MIDDLES).format(**second),
        pick.one(words.CLOSINGS).format(**phrases),
    )
    stage = min(len(words.STAGES) - 1, int(rng.poisson(0.7 + age_days / 600.0)))
    return CatalogueItem(
        id=startup_id,
        name=name,
        short_description=_sentence(pick.one(words.SHORT_TEMPLATES).format(**phrases)),
        long_description=" ".join(_sentence(sentence) for sentence in sentences),
        tags=niche.tags,
        industry=sector,
        country=country,
        city=city,
        stage=words.STAGES[stage],
        team_size=max(1, round(TEAM_SIZES[stage] * float(np.exp(rng.normal(0.0, 0.4))))),
        created_at=born_at,
    )


class _Picker:
    """Picks of options of any type, where Generator.choice would make arrays of them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def below(self, n: int) -> int:
        return int(self._rng.random() * n)

    def one(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def two(self, options: Sequence[T]) -> tuple[T, T]:
        first = self.below(len(options))
        second = (first + 1 + self.below(len(options) - 1)) % len(options)
        return options[first], options[second]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


# What a niche is recognised by in texts of others: the words of its own tag, and all its words.
WORDS_OF_NICHES = [
    (
        _plain_words(niche.tags[:1]),
        _plain_words((*niche.tags, *niche.products, *niche.customers, *niche.outcomes)),
    )
    for _, niche in NICHES
]
