"""Who owns which startups: the release's columns, and what differs from them now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recsys.artifacts.stored_catalogue import StoredCatalogue
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.packed_ids import IdIndex
from recsys.serving.live_catalogue import LiveCatalogue
from recsys.types import Int32Array


class Owners:
    """The startups of each user; only changes since the release are held here.

    A complete live catalogue is the truth. Of an incomplete one an owner counts, and where it names
    none what is known of the startup does.
    """

    def __init__(
        self,
        stored: StoredCatalogue,
        items: IdIndex,
        live: LiveCatalogue,
        carried: Mapping[int, CatalogueItem],
    ) -> None:
        """Compare `live.owners`, and the owners of what is carried whole, with the stored ones."""
        self._stored = stored
        self._ids = items.ids
        self._owner_of = _changed(stored, items, live, carried)
        self._changed = np.array(sorted(self._owner_of), np.int32)
        by_owner: dict[str, list[int]] = {}
        for index, owner in self._owner_of.items():
            if owner is not None:
                by_owner.setdefault(owner, []).append(index)
        self._gained = {owner: np.array(indices, np.int32) for owner, indices in by_owner.items()}

    @property
    def changed_by_id(self) -> dict[str, str]:
        """Startup id -> owner id of those with another owner than the release says."""
        return {self._ids[index]: owner for index, owner in self._owner_of.items() if owner is not None}

    def get(self, user_id: str) -> Int32Array:
        """(n,) int32 the startups of a user."""
        stored = self._stored.owned_by(user_id)
        if len(self._changed) == 0:
            return stored
        kept = stored[~np.isin(stored, self._changed)]
        gained = self._gained.get(user_id)
        return kept if gained is None else np.concatenate((kept, gained))


def _changed(
    stored: StoredCatalogue, items: IdIndex, live: LiveCatalogue, carried: Mapping[int, CatalogueItem]
) -> dict[int, str | None]:
    """Index -> owner now, where it is another one than is stored."""
    owners = list(live.owners.values())
    indices, codes = items.indices(list(live.owners)), stored.owner_ids.indices(owners)
    known = np.flatnonzero(indices >= 0)
    before = _stored_owner(stored, indices[known])
    differs = known[(codes[known] < 0) | (codes[known] != before)]
    changed: dict[int, str | None] = {int(indices[place]): owners[place] for place in differs}
    named = set(indices[known].tolist()) if not live.is_complete else set()
    if live.is_complete:
        lost = np.setdiff1d(np.flatnonzero(stored.owner >= 0), indices[known])
        changed |= dict.fromkeys(lost.tolist())
        return changed
    for index, startup in carried.items():
        is_stored = index < len(stored.owner) and stored.owner[index] >= 0
        if index not in named and (is_stored or startup.owner_id is not None):
            changed[index] = startup.owner_id
    return changed


def _stored_owner(stored: StoredCatalogue, indices: Int32Array) -> Int32Array:
    """(n,) the stored owner of each startup; -1 for nobody, and for a startup newer than the release."""
    owner = np.full(len(indices), -1, np.int32)
    is_stored = indices < len(stored.owner)
    owner[is_stored] = stored.owner[indices[is_stored]]
    return owner
