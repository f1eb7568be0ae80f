"""What is known at this moment of a user and of the catalogue: from Redis, or else from the release."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from recsys.artifacts.release import Release
from recsys.artifacts.stored_catalogue import CODED_FIELDS
from recsys.errors import UnavailableError
from recsys.recommenders.base import VectorRecommender
from recsys.serving.answers import join_reasons
from recsys.serving.explanations import Asker
from recsys.serving.live_catalogue import VERSION_KEY, LiveCatalogueStore, as_version
from recsys.serving.live_profile import LiveProfile, LiveProfileStore, UnreadableProfileError
from recsys.serving.seen import DatedActs
from recsys.serving.served import Served, ServedCatalogue
from recsys.types import History, Int32Array, UInt8Array

logger = logging.getLogger(__name__)

OPTED_OUT = "the user opted out: popular startups, nothing personal"
MAY_BE_BEHIND = "the live store was away: acts made meanwhile may be missing"
STORE_UNAVAILABLE = "live profile store unavailable"
NOT_SYNCED = "live profiles not synced"
UNREADABLE_PROFILE = "this user's live profile cannot be read; run sync_live_profiles"
CATALOGUE_INCOMPLETE = "live catalogue not synced: activity and owners partly as of the release"
CATALOGUE_UNAVAILABLE = "live catalogue unavailable: activity and owners as last known"


@dataclass(frozen=True, slots=True)
class UserState:
    """What is known of a user now, in the index space of a Served.

    `acted_on` are all startups acted on; `dated_acts` those of them a seen policy can judge;
    `degraded` is what an answer must admit to.
    """

    user_id: str
    interaction_count: int
    asker: Asker
    acted_on: Int32Array
    opted_out: bool = False
    degraded: str | None = None
    dated_acts: DatedActs = field(default_factory=DatedActs.none)


class LiveState:
    """Asks Redis; while it cannot be asked, answers from the release and says so."""

    def __init__(self, profiles: LiveProfileStore, catalogue: LiveCatalogueStore) -> None:
        self._profiles = profiles
        self._catalogue = ServedCatalogue(catalogue)
        self._is_up = True
        self._mark: str | None = None
        self._was_away = False

    def of_catalogue(
        self, release: Release, read_version: Callable[[], int] | None = None
    ) -> tuple[Served, str | None]:
        """What can be offered now, and what an answer made from it must admit to.

        Args:
            read_version: gives the version of the live catalogue; by default Redis is asked.
        """
        try:
            self._catalogue.refresh(release, read_version)
        except UnavailableError as error:
            self._note(error)
            return self._catalogue.served(release), CATALOGUE_UNAVAILABLE
        self._note(None)
        served = self._catalogue.served(release)
        return served, None if served.live.is_complete else CATALOGUE_INCOMPLETE

    def of_user(self, user_id: str, release: Release) -> tuple[Served, UserState]:
        """What can be offered now, and the user's acts up to now.

        No profile under the ready mark is a user who did nothing; without the mark, or without
        Redis, the user's acts are those the release was trained on. After Redis was away, answers
        admit that acts may be missing until Django marks it anew.
        """
        try:
            profile, mark, read_version = self._fetch(user_id)
        except UnreadableProfileError:
            served, _ = self.of_catalogue(release)
            return served, state_in_release(release, user_id, UNREADABLE_PROFILE)
        except UnavailableError as error:
            self._note(error)
            served = self._catalogue.served(release)
            return served, state_in_release(release, user_id, STORE_UNAVAILABLE)
        behind = MAY_BE_BEHIND if self._is_behind(mark) else None
        served, degraded = self.of_catalogue(release, read_version)
        degraded = join_reasons(behind, degraded)
        if profile is not None:
            return served, _state_of_profile(served, profile, degraded)
        if mark is not None:
            return served, UserState(user_id, 0, Asker(History.empty()), _NOTHING, degraded=degraded)
        return served, state_in_release(release, user_id, NOT_SYNCED)

    def of_users(
        self, user_ids: Sequence[str], release: Release
    ) -> tuple[Mapping[str, LiveProfile | None], str | None]:
        """What many users did up to now, of those it is known of; and what an answer must admit to.

        None stands for a user under the ready mark who did nothing, or is no more. A user whose
        profile cannot be read comes out as None too: nothing may be said of them.
        """
        as_of_release = f"acts and opt-outs as of release {release.version}"
        try:
            profiles, mark = self._profiles.fetch_many(user_ids)
        except UnavailableError as error:
            self._note(error)
            return {}, f"{STORE_UNAVAILABLE}: {as_of_release}"
        if mark is not None:
            behind = MAY_BE_BEHIND if self._is_behind(mark) else None
            return {user_id: profiles.get(user_id) for user_id in user_ids}, behind
        known = {user_id: profile for user_id, profile in profiles.items() if profile is not None}
        unreadable = {user_id: None for user_id in user_ids if user_id not in profiles}
        return {**known, **unreadable}, f"{NOT_SYNCED}: {as_of_release}"

    def _fetch(self, user_id: str) -> tuple[LiveProfile | None, str | None, Callable[[], int] | None]:
        """The profile, the mark, and what gives the catalogue's version: all in one round trip.

        Where one of them cannot be read each is asked for by itself, so that the right one is told. So
        is a version that is not there: MGET gives nothing for a key of another type either.
        """
        try:
            profile, mark, version = self._profiles.fetch_beside(user_id, VERSION_KEY)
        except UnreadableProfileError:
            return *self._profiles.fetch_with_mark(user_id), None
        return profile, mark, None if version is None else partial(as_version, version)

    def states_of(
        self, served: Served, user_ids: Sequence[str]
    ) -> tuple[Mapping[str, UserState], str | None]:
        """What is known of many users now, and what lists made from it must admit to.

        Those of whom nothing may be said are left out; see `of_users`.
        """
        release = served.release
        profiles, notice = self.of_users(user_ids, release)
        states: dict[str, UserState] = {}
        for user_id in user_ids:
            if user_id not in profiles:
                states[user_id] = state_in_release(release, user_id, notice or NOT_SYNCED)
            elif (profile := profiles[user_id]) is not None:
                states[user_id] = _state_of_profile(served, profile, notice)
        return states, notice

    def warm(self, release: Release) -> None:
        """Fetch and build what the first answer from a release needs, before it is asked for."""
        with contextlib.suppress(UnavailableError):  # the first answer will say so
            self._catalogue.refresh(release)
        served = self._catalogue.served(release)
        for field_name in CODED_FIELDS:
            served.codes(field_name)
        _ = release.latest_event_at, served.n_users_of_item
        for recommender in served.recommenders.values():
            if isinstance(recommender, VectorRecommender):
                _ = recommender.search

    def _is_behind(self, mark: str | None) -> bool:
        """Whether Django has not yet made sure of everything since Redis was away."""
        if self._was_away and self._mark is not None:
            self._was_away = mark == self._mark
        self._mark = mark
        return self._was_away and mark is not None

    def _note(self, error: UnavailableError | None) -> None:
        """Log when the live store goes away and when it is back, not every request between."""
        self._was_away = self._was_away or error is not None
        if error is not None and self._is_up:
            logger.warning("live store unavailable, answers are degraded reason=%s", error)
        elif error is None and not self._is_up:
            logger.info("live store is back")
        self._is_up = error is None


_NOTHING: Int32Array = np.empty(0, np.int32)


def _state_of_profile(served: Served, profile: LiveProfile, degraded: str | None) -> UserState:
    history, type_masks = _history_of(served, profile)
    acted_on = history.item_indices
    if profile.older:
        older = served.items.indices(profile.older)
        acted_on = np.concatenate((acted_on, older[older >= 0]))
    if not profile.is_whole:  # written without them: the release knows some
        trained = served.release.history_of(profile.user_id)
        acted_on = acted_on if trained is None else np.union1d(acted_on, trained.item_indices)
    if profile.opted_out:
        asker, degraded = Asker(History.empty()), OPTED_OUT
    else:
        asker = Asker(history, type_masks)
    return UserState(
        profile.user_id,
        profile.interaction_count,
        asker,
        acted_on,
        profile.opted_out,
        degraded,
        DatedActs.of_likes(history, type_masks),
    )


def _history_of(served: Served, profile: LiveProfile) -> tuple[History, UInt8Array]:
    """The acts, and the types of each; a startup deleted since is in nobody's index space."""
    if not profile.cells:
        return History.empty(profile.interests), np.empty(0, np.uint8)
    startup_ids, *columns = zip(*profile.cells, strict=True)
    indices = served.items.indices(startup_ids)
    weights, last_event_at, type_masks = map(np.array, columns, (np.float32, np.float64, np.uint8))
    known = indices >= 0
    if not known.all():
        indices, weights, last_event_at = indices[known], weights[known], last_event_at[known]
        type_masks = type_masks[known]
    return History(indices, weights, last_event_at, profile.interests), type_masks


def state_in_release(release: Release, user_id: str, why: str) -> UserState:
    """What a release knows of a user; `why` says why nothing newer does."""
    history = release.history_of(user_id)
    if history is None:
        degraded = f"{why}: nothing known of this user"
        return UserState(user_id, 0, Asker(History.empty()), _NOTHING, degraded=degraded)
    degraded = f"{why}: acts as of release {release.version}"
    return UserState(
        user_id, len(history.item_indices), Asker(history), history.item_indices, degraded=degraded
    )
