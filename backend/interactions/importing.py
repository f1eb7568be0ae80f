"""Ratings or acts of a file become users, startups and acts, a batch at a time.

Every statement commits and all ids come from the source: an import that was cut short, or is run
again, adds what is missing and nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np

from accounts.models import User
from config.import_ids import NAMESPACE, check_source, import_id
from interactions.bulk import (
    ROWS_A_STATEMENT,
    NewActs,
    as_startup,
    insert_acts,
    insert_startups,
    insert_users,
    refresh_live_state,
)
from interactions.services import MAX_CLOCK_SKEW
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.importers import (
    DEFAULT_RATING_TYPES,
    EventBatch,
    RatingTypes,
    ReadOptions,
    count_rows,
    read_catalogue,
    read_events,
)
from recsys.progress import StagedProgress, ignore_progress
from recsys.types import ProgressCallback

STAGES = {"startups": 1.0, "acts": 8.0, "live profiles": 3.0}
USUAL = ReadOptions()


@dataclass(slots=True)
class ImportSummary:
    """What an import read and what of it was new; `live` False: Redis could not be reached."""

    n_acts: int = 0
    n_new_acts: int = 0
    n_new_users: int = 0
    n_new_startups: int = 0
    live: bool = True


def import_interactions(
    path: Path,
    file_format: str,
    *,
    source: str,
    now: datetime,
    options: ReadOptions = USUAL,
    rating_types: RatingTypes = DEFAULT_RATING_TYPES,
    progress: ProgressCallback = ignore_progress,
) -> ImportSummary:
    """Import a file or a MovieLens folder.

    Users and startups that are not there yet are made. Where the file has no times, everything
    happened `now`. An act is the same when source, user, item, type and time are.

    Raises:
        DataError: the file cannot be read; what came before the bad row is in, and Redis knows it.
        ConfigError: the source's name cannot be used.
    """
    check_source(source)
    stages = StagedProgress(progress, STAGES)
    n_rows = max(count_rows(path, file_format), 1)
    catalogue = read_catalogue(path, file_format)
    importer = _Importer(source, now)
    try:
        stages.update("startups")
        importer.add_items(catalogue.items if catalogue else ())
        not_after_s = (now + MAX_CLOCK_SKEW).timestamp()
        for batch in read_events(
            path, file_format, options, rating_types=rating_types, not_after_s=not_after_s
        ):
            for part in batch.parts(ROWS_A_STATEMENT):
                importer.add_acts(part)
                stages.update("acts", importer.summary.n_acts / n_rows)
    finally:
        importer.refresh_live_state(stages)
    return importer.summary


class _Importer:
    """Keeps which outside ids have their rows, so that each is looked up once."""

    def __init__(self, source: str, now: datetime) -> None:
        self.summary = ImportSummary()
        self._source = source
        self._now_s = now.timestamp()
        self._users: dict[str, UUID] = {}
        self._startups: dict[str, UUID] = {}
        self._new_startups: list[UUID] = []

    def add_items(self, items: Sequence[CatalogueItem]) -> None:
        """Make the startups that are not there yet."""
        ids = {item.id: import_id(self._source, "startup", item.id) for item in items}
        self._new_startups += insert_startups(as_startup(ids[item.id], item) for item in items)
        self._startups.update(ids)
        self.summary.n_new_startups = len(self._new_startups)

    def add_acts(self, batch: EventBatch) -> None:
        """Record acts, after making the users and the startups they name."""
        occurred_at = np.full(len(batch), self._now_s) if batch.occurred_at is None else batch.occurred_at
        users, user_index = _distinct(batch.user_ids)
        items, item_index = _distinct(batch.item_ids)
        self._add_users(users)
        self._add_unknown_items(items, item_index, occurred_at)
        user_ids = [self._users[users[index]] for index in user_index]
        startup_ids = [self._startups[items[index]] for index in item_index]
        times = [""] * len(batch) if batch.occurred_at is None else map(repr, occurred_at.tolist())
        acts = NewActs(
            [
                uuid5(NAMESPACE, f"{self._source}/act/{user.hex}/{startup.hex}/{code}/{time}")
                for user, startup, code, time in zip(
                    user_ids, startup_ids, batch.type_codes.tolist(), times, strict=True
                )
            ],
            user_ids,
            startup_ids,
            batch.type_codes.tolist(),
            occurred_at.tolist(),
            [self._now_s] * len(batch),
        )
        self.summary.n_new_acts += insert_acts(acts, source=self._source)
        self.summary.n_acts += len(batch)

    def refresh_live_state(self, stages: StagedProgress) -> None:
        """Bring Redis up to date with everybody this import touched."""
        if not self._users and not self._new_startups:
            return
        stages.update("live profiles")
        self.summary.live = refresh_live_state(
            self._users.values(), self._new_startups, stages.within("live profiles")
        )

    def _add_users(self, outside_ids: Sequence[str]) -> None:
        ids = {i: import_id(self._source, "user", i) for i in outside_ids if i not in self._users}
        self.summary.n_new_users += insert_users(
            User(pk=user_id, username=f"{self._source}-{outside_id}") for outside_id, user_id in ids.items()
        )
        self._users.update(ids)

    def _add_unknown_items(self, outside_ids: Sequence[str], item_index: Any, occurred_at: Any) -> None:
        """A startup no catalogue names is called by its id, and is as old as the first act seen."""
        first_act = np.full(len(outside_ids), np.inf)
        np.minimum.at(first_act, item_index, occurred_at)
        self.add_items(
            [
                CatalogueItem(id=outside_id, name=f"{self._source} {outside_id}", created_at=float(first))
                for outside_id, first in zip(outside_ids, first_act, strict=True)
                if outside_id not in self._startups
            ]
        )


def _distinct(ids: Any) -> tuple[list[str], Any]:
    """The different ids of a pyarrow array, and (n,) the place of each row's id among them."""
    encoded = ids.dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
