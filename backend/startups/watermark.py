"""Up to when the models know the catalogue: what changed later travels in the live catalogue."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from recsys.artifacts import layout
from recsys.artifacts.manifest import Manifest
from recsys.datasets.user_items import MANIFEST_FILE
from recsys.errors import ArtifactError

logger = logging.getLogger(__name__)

FROM_THE_START = datetime(1, 1, 1, tzinfo=UTC)
COMMIT_MARGIN = timedelta(hours=1)  # `updated_at` is written before the commit that an export can see


def known_until() -> datetime:
    """What changed before is in the served release and in the exported dataset.

    The dataset counts too: a release made of it may be served in a minute.
    """
    watermarks = [_watermark(facts) for facts in _datasets()]
    return min(watermarks, default=timezone.now())


def _datasets() -> Iterator[Mapping[str, Any]]:
    """What is written about the data of the served release and about the exported dataset, if any."""
    served = layout.current_release_dir(settings.MODELS_DIR)
    if served is not None:
        try:
            yield Manifest.load(served / layout.MANIFEST_FILE).dataset
        except ArtifactError as error:
            logger.warning("watermark unknown, the whole catalogue is carried reason=%s", error)
            yield {}
    exported = Path(settings.DATASET_DIR) / MANIFEST_FILE
    if exported.exists():
        try:
            yield json.loads(exported.read_text())
        except ValueError as error:
            logger.warning(
                "watermark unknown, the whole catalogue is carried file=%s reason=%s", exported, error
            )
            yield {}


def _watermark(facts: Mapping[str, Any]) -> datetime:
    """`watermark` of a manifest; without one nothing is sure to be known."""
    if "watermark" not in facts:
        return FROM_THE_START
    return datetime.fromisoformat(facts["watermark"]) - COMMIT_MARGIN
