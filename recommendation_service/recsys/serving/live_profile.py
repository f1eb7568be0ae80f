"""What each user did up to this second: one versioned JSON per user in Redis.

Django writes a profile after every commit, the answering service reads it with every request.
Two commits may arrive in either order: the profile with the higher version stays.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import starmap
from typing import Any, NamedTuple, cast

import redis

from recsys.errors import UnavailableError
from recsys.serving.redis_client import redis_faults_as_unavailable

MAX_LIVE_CELLS = 500  # what the latest acts of one person need; of older ones only the startup
SCHEMA_VERSION = 1
READY_KEY = "recs:profiles:ready"
PROFILE_PREFIX = "recs:profile:"
DELETE_BATCH = 1000
LARGEST_WEIGHT = 1e6  # of a cell; weights are a few units, and grow with the logarithm of repeats
LATEST_S = 1e12
LARGEST_MASK = 255

# The version is the second field of what `_to_json` writes, so a write need not parse the whole
# of what is stored. A value that does not look like ours, or is no text at all, is overwritten.
STORE_IF_NOT_OLDER = """
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'string' then
  local version = string.match(stored, '^{"schema":%d+,"version":(%d+),')
  if version and tonumber(version) > tonumber(ARGV[1]) then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class LiveCell(NamedTuple):
    """What a user did to one startup: the signed cell, when last (UTC s), which types (bit mask)."""

    startup_id: str
    weight: float
    last_event_at: float
    type_mask: int


@dataclass(frozen=True, slots=True)
class LiveProfile:
    """One user now. `cells` latest first; `older` the startups of the acts beyond them.

    `interaction_count` counts both; of a profile written without `older`, also those left out.
    `version` only grows: it is the compare-and-set number.
    """

    user_id: str
    version: int
    interaction_count: int
    cells: tuple[LiveCell, ...]
    interests: tuple[str, ...]
    opted_out: bool
    last_event_id: int
    older: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every startup acted on is named here."""
        return self.interaction_count <= len(self.cells) + len(self.older)


class UnreadableProfileError(UnavailableError):
    """Redis answered, but what it holds of this one user cannot be read."""


class LiveProfileStore:
    """Reads and writes live profiles; every fault of Redis is an UnavailableError."""

    def __init__(self, client: redis.Redis) -> None:
        """`client` must decode responses; see `redis_client.connect`."""
        self._client = client
        self._store_if_not_older = client.register_script(STORE_IF_NOT_OLDER)

    def store(self, profiles: Sequence[LiveProfile], *, force: bool = False) -> int:
        """Write each profile unless a newer one is there; `force` writes whatever is there.

        Returns:
            How many were written.
        """
        if not profiles:
            return 0
        with redis_faults_as_unavailable("storing live profiles"):
            pipeline = self._client.pipeline(transaction=False)
            for profile in profiles:
                key, text = _key(profile.user_id), _to_json(profile)
                if force:
                    pipeline.set(key, text)
                else:
                    self._store_if_not_older([key], [profile.version, text], client=pipeline)
            return sum(bool(written) for written in pipeline.execute())

    def fetch(self, user_id: str) -> LiveProfile | None:
        """The profile of a user, None when there is none."""
        with redis_faults_as_unavailable("fetching a live profile"), _undecodable_as_unreadable(user_id):
            text = cast("str | None", self._client.get(_key(user_id)))
        return None if text is None else _from_json(user_id, text)

    def fetch_with_mark(self, user_id: str) -> tuple[LiveProfile | None, str | None]:
        """The profile and the ready mark, in one round trip.

        No profile under the mark is a user who did nothing; without it nothing is known. The mark
        is another one whenever everything that Redis should hold has been made sure of anew.
        """
        profile, mark, _ = self.fetch_beside(user_id, READY_KEY)
        return profile, mark

    def fetch_beside(self, user_id: str, key: str) -> tuple[LiveProfile | None, str | None, str | None]:
        """As `fetch_with_mark`, with what another key holds, in the same round trip."""
        with redis_faults_as_unavailable("fetching a live profile"), _undecodable_as_unreadable(user_id):
            text, mark, beside = cast("list[str | None]", self._client.mget(_key(user_id), READY_KEY, key))
            if text is None and mark is not None:
                self._check_absent(user_id)
        return (None if text is None else _from_json(user_id, text)), mark, beside

    def fetch_many(self, user_ids: Sequence[str]) -> tuple[dict[str, LiveProfile | None], str | None]:
        """The profiles of many users and the ready mark, in one round trip.

        Users whose profile cannot be read are not among the keys; None is a user without one.
        """
        with redis_faults_as_unavailable("fetching live profiles"):
            *texts, mark = self._fetch_texts([*map(_key, user_ids), READY_KEY])
        profiles: dict[str, LiveProfile | None] = {}
        for user_id, text in zip(user_ids, texts, strict=True):
            with contextlib.suppress(UnreadableProfileError):
                profiles[user_id] = None if text is None else _from_json(user_id, text)
        return profiles, mark

    def _fetch_texts(self, keys: list[str]) -> list[str | None]:
        """What lies under each key; what is no text is an empty one, and costs a few more round trips."""
        try:
            return cast("list[str | None]", self._client.mget(keys))
        except UnicodeDecodeError:
            if len(keys) == 1:
                return [""]
            half = len(keys) // 2
            return self._fetch_texts(keys[:half]) + self._fetch_texts(keys[half:])

    def is_ready(self) -> bool:
        """Whether every user with an act has a profile here."""
        with redis_faults_as_unavailable("reading the ready mark"):
            return bool(self._client.exists(READY_KEY))

    def mark_ready(self) -> None:
        """Say that every user with an act has a profile here."""
        self._mark()

    def renew_mark(self) -> None:
        """Say so again, if it was said before: nothing written meanwhile is missing here."""
        self._mark(only_if_marked=True)

    def _mark(self, *, only_if_marked: bool = False) -> None:
        with redis_faults_as_unavailable("setting the ready mark"):
            self._client.set(READY_KEY, str(time.time_ns()), xx=only_if_marked)

    def delete(self, user_ids: Iterable[str]) -> None:
        """Forget these users' profiles."""
        keys = [_key(user_id) for user_id in user_ids]
        with redis_faults_as_unavailable("deleting live profiles"):
            self._unlink(keys)

    def clear(self) -> None:
        """Forget the ready mark, then every profile."""
        with redis_faults_as_unavailable("clearing live profiles"):
            self._client.delete(READY_KEY)
            self._unlink(list(self._client.scan_iter(match=f"{PROFILE_PREFIX}*", count=DELETE_BATCH)))

    def _check_absent(self, user_id: str) -> None:
        """MGET answers alike for no key and for a key that holds no text; only the first is nothing done."""
        held = cast("str", self._client.type(_key(user_id)))
        if held not in ("none", "string"):  # text was written just now
            raise _unreadable(user_id, f"it is a Redis {held}")

    def _unlink(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), DELETE_BATCH):
            self._client.unlink(*keys[start : start + DELETE_BATCH])


def _key(user_id: str) -> str:
    return f"{PROFILE_PREFIX}{user_id}"


@contextmanager
def _undecodable_as_unreadable(user_id: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise _unreadable(user_id, str(error)) from error


def _unreadable(user_id: str, why: str) -> UnreadableProfileError:
    return UnreadableProfileError(
        f"The live profile of user {user_id} is not one of schema {SCHEMA_VERSION} ({why[:200]}); "
        "run manage.py sync_live_profiles."
    )


def _to_json(profile: LiveProfile) -> str:
    fields: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "version": profile.version,
        "user_id": profile.user_id,
        "interaction_count": profile.interaction_count,
        "cells": [
            [cell.startup_id, cell.weight, cell.last_event_at, cell.type_mask]
            for cell in profile.cells[:MAX_LIVE_CELLS]
        ],
        "interests": list(profile.interests),
        "opted_out": profile.opted_out,
        "last_event_id": profile.last_event_id,
    }
    older = [*(cell.startup_id for cell in profile.cells[MAX_LIVE_CELLS:]), *profile.older]
    if older:
        fields["older"] = older
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _from_json(user_id: str, text: str) -> LiveProfile:
    """Whatever the text is, a sound profile of this user comes out, or UnreadableProfileError."""
    try:
        fields: dict[str, Any] = json.loads(text)
        if fields["schema"] != SCHEMA_VERSION:
            raise ValueError(f"schema {fields['schema']}")  # noqa: TRY301 - told as unreadable below
        if fields.get("user_id", user_id) != user_id:  # older ones do not name theirs
            raise ValueError("it is of another user")  # noqa: TRY301
        profile = LiveProfile(
            user_id=user_id,
            version=_whole_number(fields["version"]),
            interaction_count=_whole_number(fields["interaction_count"]),
            cells=tuple(starmap(LiveCell, fields["cells"])),
            interests=_texts(fields["interests"]),
            opted_out=_truth(fields["opted_out"]),
            last_event_id=_whole_number(fields["last_event_id"]),
            older=_texts(fields.get("older", [])),
        )
        _check_cells(profile.cells)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unreadable(user_id, str(error)) from error
    return profile


def _check_cells(cells: Sequence[LiveCell]) -> None:
    """Raise ValueError or TypeError for what a history cannot be made of."""
    for cell in cells:
        # Comparisons that NaN and infinity fail too.
        if not (
            isinstance(cell.startup_id, str)
            and -LARGEST_WEIGHT <= cell.weight <= LARGEST_WEIGHT
            and -LATEST_S <= cell.last_event_at <= LATEST_S
            and isinstance(cell.type_mask, int)
            and 0 <= cell.type_mask <= LARGEST_MASK
        ):
            raise ValueError(f"it holds the cell {cell}")
    if len({cell.startup_id for cell in cells}) < len(cells):
        raise ValueError("it holds a startup twice")


def _whole_number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r:.80} is no whole number")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.80} is neither true nor false")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
        raise TypeError(f"{values!r:.80} is no list of texts")
    return tuple(values)
