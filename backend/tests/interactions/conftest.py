"""What several tests of the event log look at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from accounts.models import User
from recsys.serving.live_profile import LiveProfile, LiveProfileStore


@pytest.fixture
def stored(redis: Redis) -> Callable[[User], LiveProfile | None]:
    """What Redis holds of a user."""
    store = LiveProfileStore(redis)
    return lambda user: store.fetch(str(user.pk))
