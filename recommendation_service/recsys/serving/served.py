"""A release and the live catalogue as one: what can be offered at this moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.artifacts.release import Release
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.errors import UnavailableError
from recsys.recommenders.base import Recommender
from recsys.serving.live_catalogue import LiveCatalogue, LiveCatalogueStore
from recsys.types import BoolArray, Float64Array, Int32Array

RETRY_FETCH_S = 1.0  # a catalogue that could not be fetched is not asked for with every request
RECENT_ACTS_S = 45 * 86_400.0  # older than this, what is popular in the data is not popular lately
NEW_STARTUP_S = 30 * 86_400.0
CODED_FIELDS = ("industry", "country", "stage")
UNKNOWN_CODE = -1


@dataclass(frozen=True)
class Served:
    """What a release and the live catalogue know together; never changed, only replaced.

    `items` is the release's index space with the startups it does not know appended, the newest
    first; `active` and `created_at` (UTC s) are aligned with it. `owned` maps a user to the
    indices of their own startups.
    """

    release: Release
    live: LiveCatalogue
    items: IdMap
    _startups: tuple[CatalogueItem | None, ...]
    active: BoolArray
    created_at: Float64Array
    owned: Mapping[str, Int32Array]
    recommenders: Mapping[str, Recommender]

    @property
    def n_acted_on(self) -> int:
        """Indices from here on are startups nobody had acted on when the release was made."""
        return len(self.release.item_mapping)

    def new_items(self, now_s: float) -> Int32Array:
        """(k,) indices of those that `is_new` tells."""
        first = self.n_acted_on
        recent = self.created_at[first:] > now_s - NEW_STARTUP_S
        return (first + np.flatnonzero(recent)).astype(np.int32)

    def is_new(self, now_s: float) -> BoolArray:
        """(n_items,) startups of the last 30 days that nobody had acted on at the training."""
        new: BoolArray = np.zeros(len(self.items), np.bool_)
        new[self.new_items(now_s)] = True
        return new

    def has_recent_acts(self, now_s: float) -> bool:
        """Whether the release was trained on acts of the last weeks."""
        times = self.release.last_event_at
        return times is not None and len(times) > 0 and float(times.max()) > now_s - RECENT_ACTS_S

    @cached_property
    def n_users_of_item(self) -> Int32Array:
        """(n_acted_on,) how many users of the release have acted on each startup."""
        user_items = self.release.user_items
        if user_items is None:
            return np.zeros(self.n_acted_on, np.int32)
        return np.bincount(user_items.indices, minlength=self.n_acted_on).astype(np.int32)

    def codes(self, field: str) -> tuple[Int32Array, Mapping[str, int]]:
        """A field of every startup as small numbers, and the number of each value.

        Args:
            field: one of CODED_FIELDS.

        Returns:
            (n_items,) int32 codes, -1 where the value is not known, and lower-cased value -> code.
        """
        return self._codes[field]

    @cached_property
    def _codes(self) -> Mapping[str, tuple[Int32Array, Mapping[str, int]]]:
        return {field: _encode(field, self._startups) for field in CODED_FIELDS}

    def startup(self, item_index: int) -> CatalogueItem | None:
        """What is known of a startup, if anything."""
        return self._startups[item_index]

    def name_of(self, item_index: int) -> str:
        """What a person calls a startup; its id when no name is known."""
        startup = self.startup(item_index)
        return startup.name if startup is not None and startup.name else self.items.ids[item_index]


def combine(release: Release, live: LiveCatalogue) -> Served:
    """Build what can be offered from a release and the changes since."""
    unknown = [startup for startup in live.startups.values() if startup.id not in release.items]
    newest_first = sorted(unknown, key=lambda startup: (-startup.created_at, startup.id))
    items = release.items.extended(startup.id for startup in newest_first) if unknown else release.items
    known = (*release.catalogue, *newest_first)
    startups = tuple(live.startups.get(i, entry) for i, entry in zip(items.ids, known, strict=True))
    return Served(
        release,
        live,
        items,
        startups,
        active=_active(items, startups, live),
        created_at=np.array([s.created_at if s is not None else 0.0 for s in startups]),
        owned=_owned(items, startups, live),
        recommenders=_extended(release.recommenders, newest_first),
    )


def _encode(field: str, startups: tuple[CatalogueItem | None, ...]) -> tuple[Int32Array, Mapping[str, int]]:
    vocabulary: dict[str, int] = {}
    codes = np.full(len(startups), UNKNOWN_CODE, np.int32)
    for index, startup in enumerate(startups):
        value = getattr(startup, field, "").lower()
        if value:
            codes[index] = vocabulary.setdefault(value, len(vocabulary))
    return codes, vocabulary


def _active(items: IdMap, startups: tuple[CatalogueItem | None, ...], live: LiveCatalogue) -> BoolArray:
    """(n_items,) true where a startup may be offered.

    A complete live catalogue is the truth; an incomplete one can only take away.
    """
    carried = live.startups
    return np.array(
        [
            not live.is_gone(item_id)
            and (live.is_complete or item_id in carried or startup is None or startup.is_active)
            for item_id, startup in zip(items.ids, startups, strict=True)
        ],
        dtype=np.bool_,
    )


def _owned(
    items: IdMap, startups: tuple[CatalogueItem | None, ...], live: LiveCatalogue
) -> dict[str, Int32Array]:
    owned: dict[str, list[int]] = {}
    for index, (item_id, startup) in enumerate(zip(items.ids, startups, strict=True)):
        owner = live.owners.get(item_id)
        if owner is None and startup is not None and not live.is_complete:
            owner = startup.owner_id
        if owner is not None:
            owned.setdefault(owner, []).append(index)
    return {owner: np.array(indices, np.int32) for owner, indices in owned.items()}


def _extended(recommenders: Mapping[str, Recommender], new: list[CatalogueItem]) -> Mapping[str, Recommender]:
    """The recommenders, those that can answer for new startups extended by them."""
    if not new:
        return recommenders
    return {name: recommender.with_new_items(new) for name, recommender in recommenders.items()}


class ServedCatalogue:
    """Keeps the combination of the release asked for with the latest live catalogue."""

    def __init__(self, store: LiveCatalogueStore) -> None:
        self._store = store
        self._live = LiveCatalogue()
        self._built: tuple[Served, ...] = ()
        self._lock = threading.Lock()
        self._failure: UnavailableError | None = None
        self._retry_at_s = 0.0

    def refresh(self, read_version: Callable[[], int] | None = None) -> None:
        """Fetch the live catalogue if it changed.

        Args:
            read_version: gives the store's version; by default the store is asked.

        Raises:
            UnavailableError: Redis cannot be asked; what was known last stays.
        """
        if (read_version or self._store.version)() != self._live.version:
            with self._lock:
                if self._store.version() != self._live.version:
                    self._fetch()

    def _fetch(self) -> None:
        if self._failure is not None and time.monotonic() < self._retry_at_s:
            raise UnavailableError(str(self._failure))
        try:
            self._live, self._failure = self._store.fetch(self._live), None
        except UnavailableError as error:
            self._failure, self._retry_at_s = error, time.monotonic() + RETRY_FETCH_S
            raise

    def served(self, release: Release) -> Served:
        """The combination; built when the release or the live catalogue is another than before."""
        found = self._find(release)
        if found is None:
            with self._lock:
                found = self._find(release)
                if found is None:
                    found = combine(release, self._live)
                    # Two: around a swap some requests still ask for the release before.
                    self._built = (found, *self._built[:1])
        return found

    def _find(self, release: Release) -> Served | None:
        live = self._live
        return next((s for s in self._built if s.release is release and s.live is live), None)
