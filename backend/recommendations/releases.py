"""Releases for the admin: which are kept, and serving another one, with a row that says who did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import transaction

from accounts.models import User
from recommendations.lease import hold_lease
from recommendations.models import ReleaseChange, TrainingRun
from recommendations.services import report_run
from recsys.artifacts import promote as artifacts
from recsys.artifacts.layout import OnSwitch, Switch
from recsys.artifacts.promote import KeptRelease

Action = ReleaseChange.Action


def kept_releases() -> list[KeptRelease]:
    """The releases on disk, the newest first."""
    return artifacts.kept_releases(settings.MODELS_DIR)


def promote(version: str, *, by: User | None) -> ReleaseChange:
    """Serve a kept release; every Flask worker follows within two seconds.

    Raises:
        NotFoundError: no such release is kept.
        InvalidRequestError: it is served already.
        ArtifactError: it is damaged; what was served still is.
        UnavailableError: a training is publishing right now.
    """
    change = ReleaseChange(action=Action.PROMOTED, by=by)
    artifacts.promote(settings.MODELS_DIR, version, on_switch=_written_as(change))
    return change


def roll_back(*, by: User | None, served: str | None = None) -> ReleaseChange:
    """Serve the newest kept release older than the served one.

    Args:
        by: who asked.
        served: the release that the person saw served; another one by now is refused.

    Raises:
        InvalidRequestError: nothing older is kept, or another release is served by now.
        ArtifactError: the older one is damaged; what was served still is.
        UnavailableError: a training is publishing right now.
    """
    change = ReleaseChange(action=Action.ROLLED_BACK, by=by)
    artifacts.roll_back(settings.MODELS_DIR, served=served, on_switch=_written_as(change))
    return change


def published_by(run: TrainingRun, token: int) -> OnSwitch:
    """For a training: the pointer moves only while the run holds its lease, and the run says so.

    Raises, on the switch:
        LeaseLostError: another process has taken over; nothing is published.
    """

    @contextmanager
    def on_switch(switch: Switch) -> Iterator[None]:
        with transaction.atomic():
            hold_lease(token)
            report_run(run.pk, token, release=switch.version)
            ReleaseChange.objects.create(
                action=Action.PUBLISHED,
                by_id=run.started_by_id,
                run=run,
                version=switch.version,
                previous_version=switch.previous,
            )
            yield

    return on_switch


def _written_as(change: ReleaseChange) -> OnSwitch:
    """The row is there when, and only when, the pointer has moved."""

    @contextmanager
    def on_switch(switch: Switch) -> Iterator[None]:
        with transaction.atomic():
            change.version, change.previous_version = switch.version, switch.previous
            change.save()
            yield

    return on_switch
