"""Between trainings: ends what nobody holds, sends what was lost, notices growth, cleans up."""

from __future__ import annotations

import logging
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from interactions.models import UserInteraction
from recommendations.lease import is_held
from recommendations.models import TrainingRun
from recommendations.services import end_abandoned_run, request_training, send_run, unattended_run_is_near
from recsys.artifacts.layout import RELEASES, publishing
from recsys.errors import UnavailableError
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.run_log import remove_old_logs

logger = logging.getLogger(__name__)

STAGING = ".writing-*"  # of releases and of datasets
STAGING_KEPT_S = 24 * 3600.0
SENT_AGAIN_AFTER = timedelta(hours=1)
GROWTH_RESTS = timedelta(hours=6)


def end_abandoned_runs() -> int:
    """Runs that say they are running while nobody holds their lease; returns how many."""
    running = TrainingRun.objects.filter(status=TrainingRun.Status.RUNNING)
    ended = [run.pk for run in running if not _is_held(run) and end_abandoned_run(run)]
    for run_id in ended:
        logger.error("training abandoned run=%s", run_id)
    return len(ended)


def _is_held(run: TrainingRun) -> bool:
    return run.fencing_token is not None and is_held(run.fencing_token)


def send_lost_runs() -> int:
    """Queued for an hour while nobody trains: the broker may have lost the message; returns how many.

    A message too many is harmless: the run is finished by the time it is read.
    """
    if is_held():
        return 0
    long_ago = timezone.now() - SENT_AGAIN_AFTER
    waiting = TrainingRun.objects.filter(status=TrainingRun.Status.QUEUED, created_at__lt=long_ago)
    lost = [run for run in waiting if run.heartbeat_at is None or run.heartbeat_at < long_ago]
    for run in lost:
        TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now())
        send_run(run.pk)
    return len(lost)


@transaction.atomic
def retrain_on_growth(percent: float) -> bool:
    """Whether a training was started: the acts have grown by `percent` since the last export of a run."""
    if percent <= 0 or unattended_run_is_near() or _growth_failed_lately():
        return False
    came_to_nothing = (TrainingRun.Status.FAILED, TrainingRun.Status.CANCELLED)
    exported = TrainingRun.objects.filter(dataset__has_key="acts").exclude(status__in=came_to_nothing).first()
    if exported is None:
        return False
    rows = exported.dataset["acts"]["rows"]
    since = datetime.fromisoformat(exported.dataset["watermark"])
    new = UserInteraction.objects.filter(received_at__gt=since).count()
    if new < rows * percent / 100:
        return False
    logger.info("training for growth acts=%d new=%d percent=%g", rows, new, percent)
    request_training(trigger=TrainingRun.Trigger.GROWTH)
    return True


def _growth_failed_lately() -> bool:
    """What fails every time is not tried every ten minutes."""
    ended = TrainingRun.objects.filter(trigger=TrainingRun.Trigger.GROWTH, status=TrainingRun.Status.FAILED)
    return ended.filter(finished_at__gt=timezone.now() - GROWTH_RESTS).exists()


def clean_up() -> int:
    """What killed publishers and exports left, and logs past the last ten a kind; how many folders."""
    for kind in (TrainingRun.ALL, "train", *RECOMMENDERS):
        remove_old_logs(settings.LOGS_DIR, kind)
    return _clean_up_releases() + _remove_staging(settings.DATASET_DIR, STAGING_KEPT_S)


def _clean_up_releases() -> int:
    """Whoever publishes holds the lock, so with it in hand nothing is being written."""
    try:
        with publishing(settings.MODELS_DIR, wait_s=0):
            return _remove_staging(settings.MODELS_DIR / RELEASES, 0.0)
    except UnavailableError:
        return 0


def _remove_staging(folder: Path, kept_s: float) -> int:
    """Those not touched for a while; a dataset is written without a lock."""
    before = time.time() - kept_s
    old = [path for path in folder.glob(STAGING) if path.stat().st_mtime <= before]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
        logger.info("left behind removed path=%s", path)
    return len(old)
