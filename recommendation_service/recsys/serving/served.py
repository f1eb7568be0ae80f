"""A release and the live catalogue as one: what can be offered at this moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.artifacts.release import Release
from recsys.artifacts.stored_catalogue import encode_value
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.packed_ids import ExtendedIds, IdIndex
from recsys.errors import UnavailableError
from recsys.recommenders.base import Recommender
from recsys.serving.live_catalogue import LiveCatalogue, LiveCatalogueStore
from recsys.serving.memory import give_memory_back
from recsys.serving.owners import Owners
from recsys.types import BoolArray, Float64Array, Int32Array

RETRY_FETCH_S = 1.0  # a catalogue that could not be fetched is not asked for with every request
RECENT_ACTS_S = 45 * 86_400.0  # older than this, what is popular in the data is not popular lately
NEW_STARTUP_S = 30 * 86_400.0


@dataclass(frozen=True)
class Served:
    """What a release and the live catalogue know together; never changed, only replaced.

    `items` is the release's index space with the startups it does not know appended, the newest
    first; `active` and `created_at` (UTC s) are aligned with it. `owned` tells the indices of a
    user's own startups. `live` is kept without the ids of all startups: `gone` (n_items of the
    release,) says which of the release's they lack, None when they were not told.
    """

    release: Release
    live: LiveCatalogue
    items: IdIndex
    active: BoolArray
    created_at: Float64Array
    owned: Owners
    recommenders: Mapping[str, Recommender]
    gone: BoolArray | None
    _carried: Mapping[int, CatalogueItem]  # by index: what differs from the release's catalogue
    _codes: dict[str, tuple[Int32Array, Mapping[str, int]]] = field(default_factory=dict)

    @property
    def n_acted_on(self) -> int:
        """Indices from here on are startups nobody had acted on when the release was made."""
        return self.release.n_acted_on

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
        latest = self.release.latest_event_at
        return latest is not None and latest > now_s - RECENT_ACTS_S

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
            field: one of `stored_catalogue.CODED_FIELDS`.

        Returns:
            (n_items,) int32 codes, -1 where the value is not known, and lower-cased value -> code.
        """
        if field not in self._codes:
            self._codes[field] = self._codes_with_carried(field)
        return self._codes[field]

    def _codes_with_carried(self, field: str) -> tuple[Int32Array, Mapping[str, int]]:
        stored, stored_code_of = self.release.catalogue.codes[field]
        if not self._carried:
            return stored, stored_code_of
        codes, code_of = _lengthened(stored, len(self.items)), dict(stored_code_of)
        for index, startup in self._carried.items():
            value = encode_value(startup, field)
            codes[index] = code_of.setdefault(value, len(code_of)) if value else -1
        return codes, code_of

    def startup(self, item_index: int) -> CatalogueItem | None:
        """What is known of a startup, if anything."""
        return self._carried.get(item_index) or self.release.catalogue.item(item_index)

    def name_of(self, item_index: int) -> str:
        """What a person calls a startup; its id when no name is known."""
        carried = self._carried.get(item_index)
        name = self.release.catalogue.name(item_index) if carried is None else carried.name
        return name or self.items.ids[item_index]


def combine(release: Release, live: LiveCatalogue, gone: BoolArray | None = None) -> Served:
    """Build what can be offered from a release and the changes since.

    Args:
        release: the release.
        live: the changes.
        gone: (n_items of the release,) what is known of deleted startups when `live` was fetched
            without the ids of all.
    """
    unknown = [
        startup
        for startup, index in zip(
            live.startups.values(), release.items.indices(list(live.startups)), strict=True
        )
        if index < 0
    ]
    newest_first = sorted(unknown, key=lambda startup: (-startup.created_at, startup.id))
    items: IdIndex = release.items
    if newest_first:
        items = ExtendedIds(release.items, IdMap(startup.id for startup in newest_first))
    indices = items.indices(list(live.startups)).tolist()
    carried = dict(zip(indices, live.startups.values(), strict=True))
    if live.existing is not None:
        gone = _gone(release.items, live.existing)
    owned = Owners(release.catalogue, items, live, carried)
    return Served(
        release,
        replace(live, existing=None, owners=owned.changed_by_id),
        items,
        active=_active(release, items, live, carried, gone),
        created_at=_created_at(release, items, carried),
        owned=owned,
        recommenders=_extended(release.recommenders, newest_first),
        gone=gone,
        _carried=carried,
    )


def _gone(items: IdIndex, existing: Set[str]) -> BoolArray:
    """(n_items,) true where a startup is not among those that exist."""
    indices = items.indices(list(existing))
    gone = np.ones(len(items), np.bool_)
    gone[indices[indices >= 0]] = False
    return gone


def _active(
    release: Release,
    items: IdIndex,
    live: LiveCatalogue,
    carried: Mapping[int, CatalogueItem],
    gone: BoolArray | None,
) -> BoolArray:
    """(n_items,) true where a startup may be offered.

    A complete live catalogue is the truth; an incomplete one can only take away.
    """
    n_stored = len(release.items)
    active = np.ones(len(items), np.bool_)
    if not live.is_complete:
        active[:n_stored] = release.catalogue.is_active
    if gone is not None:
        active[:n_stored] &= ~gone
    active[list(carried)] = True
    inactive = items.indices(list(live.inactive))
    active[inactive[inactive >= 0]] = False
    return active


def _created_at(release: Release, items: IdIndex, carried: Mapping[int, CatalogueItem]) -> Float64Array:
    """(n_items,) UTC seconds; the release's own array where nothing is carried."""
    stored = release.catalogue.created_at
    if not carried:
        return stored
    created_at = _lengthened(stored, len(items))
    created_at[list(carried)] = [startup.created_at for startup in carried.values()]
    return created_at


def _lengthened(stored: NDArray[Any], n: int) -> NDArray[Any]:
    """A copy with room for n values."""
    lengthened = np.empty(n, stored.dtype)
    lengthened[: len(stored)] = stored
    return lengthened


def _extended(
    recommenders: Mapping[str, Recommender], new: Sequence[CatalogueItem]
) -> Mapping[str, Recommender]:
    """The recommenders, those that can answer for new startups extended by them."""
    if not new:
        return recommenders
    return {name: recommender.with_new_items(new) for name, recommender in recommenders.items()}


class ServedCatalogue:
    """Keeps the combination of the release asked for with the latest live catalogue.

    The live catalogue itself is not kept: it names every startup there is.
    """

    def __init__(self, store: LiveCatalogueStore) -> None:
        self._store = store
        self._last_known = LiveCatalogue()
        self._built: tuple[Served, ...] = ()
        self._lock = threading.Lock()
        self._failure: UnavailableError | None = None
        self._retry_at_s = 0.0

    def refresh(self, release: Release, read_version: Callable[[], int] | None = None) -> None:
        """Fetch the live catalogue if it changed since it was combined with this release.

        Args:
            read_version: gives the store's version; by default the store is asked.

        Raises:
            UnavailableError: Redis cannot be asked; what was known last stays.
        """
        if not self._is_current(release, read_version or self._store.version):
            with self._lock:
                if not self._is_current(release, self._store.version):
                    self._fetch(release)

    def _is_current(self, release: Release, read_version: Callable[[], int]) -> bool:
        version, found = read_version(), self._find(release)
        return found is not None and found.live.version == version

    def _fetch(self, release: Release) -> None:
        if self._failure is not None and time.monotonic() < self._retry_at_s:
            raise UnavailableError(str(self._failure))
        before = self._find(release)
        gone = before.gone if before is not None else None
        known_mark = before.live.mark if before is not None and gone is not None else None
        try:
            live, self._failure = self._store.fetch(known_mark), None
        except UnavailableError as error:
            self._failure, self._retry_at_s = error, time.monotonic() + RETRY_FETCH_S
            raise
        self._keep(combine(release, live, gone if live.mark == known_mark else None))
        del live  # with the ids of all startups
        give_memory_back()

    def served(self, release: Release) -> Served:
        """The combination as of the last refresh; made of what was known last if there was none."""
        found = self._find(release)
        if found is None:
            with self._lock:
                found = self._find(release) or self._keep(combine(release, self._last_known))
        return found

    def _keep(self, served: Served) -> Served:
        """Keep two: around a swap some requests still ask for the release before."""
        # Of another release it is the activity that is still true; the rest has to be fetched anew.
        self._last_known = replace(served.live, version=-1, is_complete=False, mark=None)
        others = [other for other in self._built if other.release is not served.release]
        self._built = (served, *others[:1])
        return served

    def _find(self, release: Release) -> Served | None:
        return next((served for served in self._built if served.release is release), None)
