"""What was learned from: the exported dataset; and what came of it: the release on disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from uuid import UUID

import numpy as np
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from config.big_tables import as_uuid
from interactions.models import UserInteraction
from interactions.selectors import current_weights
from recommendations.doctor.report import Finding, fail, ok, warn
from recsys.artifacts.layout import DOCUMENTED_FILES, current_release_dir
from recsys.artifacts.manifest import Manifest
from recsys.artifacts.release import Release, check_mappings, open_current
from recsys.datasets.user_items import MATRIX_FILE, Dataset, load_dataset
from recsys.engines.als_config import ALSConfig
from startups.models import Startup

SAMPLE = 200
FLOOR = 5.0  # a dislike below this confidence hardly says no; the engine raises it to this
OLD_AFTER = timedelta(days=14)  # twice the weekly schedule
GROWTH = 0.2  # of the cells it was trained on
DRIFT = 0.1  # of what is in the database
GOOD_PRECISION = 0.15
TRAIN = "./train_all_models.sh, or Retrain now in the admin"
EXPORT = "manage.py generate_als_dataset"


class Learned:
    """Dataset and release, each loaded and verified once a report."""

    def __init__(self) -> None:
        self.dataset = cache(lambda: load_dataset(settings.DATASET_DIR))
        self.release = cache(lambda: open_current(settings.MODELS_DIR))

    # --- The dataset folder ---

    def check_dataset(self) -> Finding:
        """Its files are those of its manifest and fit each other."""
        if not (settings.DATASET_DIR / MATRIX_FILE).exists():
            return fail(f"nothing is exported in {settings.DATASET_DIR}", EXPORT)
        dataset = self.dataset()
        if not dataset.manifest:
            return warn("no manifest: sizes and hashes are not known", EXPORT)
        shape = f"{dataset.n_users:,} users x {dataset.n_items:,} startups"
        return ok(f"{shape}, {dataset.user_items.nnz:,} cells; hashes right")

    def check_orientation(self) -> Finding:
        """Rows are users: by the ids, as a square matrix tells nothing by its shape."""
        dataset = self.dataset()
        users, items = _spread(dataset.user_mapping.ids), _spread(dataset.item_mapping.ids)
        in_place = _known(User, users), _known(Startup, items)
        swapped = _known(User, items), _known(Startup, users)
        told = f"of those sampled {in_place[0]} of {len(users)} rows are users"
        told += f", {in_place[1]} of {len(items)} columns startups"
        if sum(swapped) > sum(in_place):
            return fail(f"rows and columns are swapped: {told}", EXPORT)
        if in_place[0] == 0 or in_place[1] == 0:
            return warn(f"{told}: the dataset is of another database", EXPORT)
        acts, sampled = _cells_in_the_log(dataset)
        told += f", {acts} of {sampled} cells acts in the log"
        return ok(told) if acts >= 0.9 * sampled else fail(told, EXPORT)

    def check_dislikes(self) -> Finding:
        """Each is exactly the dislike weight, and als gives it enough confidence to say no."""
        dataset, weights = self.dataset(), current_weights()
        exported = dataset.manifest.get("weights", {}).get("dislike", weights["dislike"])
        negative = dataset.user_items.data[dataset.user_items.data < 0]
        if not np.allclose(negative, exported):
            return fail(f"some dislikes are not {exported}: a dislike never decays or adds up", EXPORT)
        alpha = ALSConfig.default().alpha
        confidence = alpha * abs(weights["dislike"])
        told = f"{len(negative):,} dislikes; alpha {alpha:g} x {abs(weights['dislike']):g} = {confidence:g}"
        if confidence < FLOOR:
            return warn(
                f"{told}, below {FLOOR:g}: the engine raises it, so the weight itself counts for nothing",
                "raise the dislike weight (admin, Signal weights) or alpha if it should",
            )
        return ok(told)

    # --- The release ---

    def check_release(self) -> Finding:
        """Whole, by hashes, shapes and golden queries, as the service itself opens it."""
        release = self.release()
        folder = current_release_dir(settings.MODELS_DIR)
        if folder is None or release.manifest is None:
            return warn(f"{release.version} has no manifest: {release.notice}", TRAIN)
        check_mappings(folder, release)
        names = ", ".join(sorted(release.recommenders))
        return ok(f"{release.version}: {names}; hashes and golden queries right")

    def check_documented_files(self) -> Finding:
        """`ls models/als_v1*` shows the five files, and nothing else."""
        found = {path.name for path in settings.MODELS_DIR.glob("als_v1*")}
        missing = [name for name in DOCUMENTED_FILES if not (settings.MODELS_DIR / name).is_file()]
        if missing:
            return fail(f"missing: {', '.join(missing)}", TRAIN)
        strange = sorted(found - set(DOCUMENTED_FILES))
        if strange:
            return warn(
                f"the five, and {', '.join(strange)} beside them", "move away what is not a release's"
            )
        return ok("the five files are there")

    def check_age(self) -> Finding:
        """How old it is, and how much was done since."""
        manifest = self._manifest()
        age = timezone.now() - datetime.fromisoformat(manifest.created_at)
        cells = manifest.dataset.get("counts", {}).get("interactions", 0)
        since = _acts_since(manifest)
        told = f"{age.days} days old, {since:,} acts since against {cells:,} cells learned from"
        if age > OLD_AFTER:
            return warn(told, f"see why the schedule does not train; {TRAIN}")
        return warn(told, TRAIN) if since > GROWTH * max(cells, 1) else ok(told)

    def check_quality(self) -> Finding:
        """als finds what people do next: precision above 0.15, or better than popularity."""
        recommenders = self._manifest().recommenders
        means = {name: _precision(entry.metrics) for name, entry in recommenders.items()}
        als, popularity = means.get("als"), means.get("popularity")
        if als is None or popularity is None:
            return warn("als or popularity was not measured", f"train with a test split: {TRAIN}")
        told = f"als measured precision@10 {als:.3f}, popularity {popularity:.3f}"
        if als > GOOD_PRECISION or als > popularity:
            return ok(told)
        return warn(told, "collect more acts, or recsys tune als searches for better hyper-parameters")

    def check_drift(self) -> Finding:
        """Startups and active users of the database that the release does not know."""
        release, manifest = self.release(), self._manifest()
        n_startups, unknown = _unknown_startups(release)
        recent = _users_since(manifest)
        new_users = sum(release.user_mapping.get(str(user_id)) is None for user_id in recent)
        told = f"{unknown:,} of {n_startups:,} startups unknown to the release"
        told += f"; {new_users:,} of {len(recent):,} users who acted since are new to it"
        return warn(told, TRAIN) if unknown > DRIFT * max(n_startups, 1) else ok(told)

    def check_opted_out(self) -> Finding:
        """Who opted out is in no release; who did since the training is answered impersonally already."""
        release = self.release()
        opted_out = User.objects.filter(opted_out=True).values_list("pk", flat=True)
        inside = sum(release.user_mapping.get(str(pk)) is not None for pk in opted_out.iterator(10_000))
        if inside:
            return warn(
                f"{inside:,} users opted out since the training: the release's rows of them are used only "
                "while Redis is away",
                TRAIN,
            )
        return ok("nobody who opted out is in the release")

    def _manifest(self) -> Manifest:
        manifest = self.release().manifest
        if manifest is None:
            raise LookupError("the files are served without a release manifest; train again")
        return manifest


def _spread(ids: Sequence[str]) -> list[str]:
    """Up to SAMPLE of them, from all over."""
    step = max(len(ids) // SAMPLE, 1)
    return list(islice(ids[::step], SAMPLE))


def _known(model: type[User] | type[Startup], ids: Sequence[str]) -> int:
    keys = [key for key in map(as_uuid, ids) if key is not None]
    return model.objects.filter(pk__in=keys).count()


def _cells_in_the_log(dataset: Dataset) -> tuple[int, int]:
    """Of the first cell of each sampled row, how many are acts in the log, and of how many."""
    rows = range(0, dataset.n_users, max(dataset.n_users // SAMPLE, 1))
    pairs = set()
    for row in islice(rows, SAMPLE):
        column = dataset.user_items.indices[dataset.user_items.indptr[row]]
        pairs.add((UUID(dataset.user_mapping.ids[row]), UUID(dataset.item_mapping.ids[column])))
    users, startups = ({pair[side] for pair in pairs} for side in (0, 1))
    done = UserInteraction.objects.filter(user__in=users, startup__in=startups)
    return len(pairs & set(done.values_list("user_id", "startup_id"))), len(pairs)


def _watermark(manifest: Manifest) -> datetime:
    """Up to when the log was read; a dataset without one is as old as the release."""
    return datetime.fromisoformat(manifest.dataset.get("watermark", manifest.created_at))


def _acts_since(manifest: Manifest) -> int:
    return UserInteraction.objects.filter(received_at__gt=_watermark(manifest)).count()


def _users_since(manifest: Manifest) -> set[UUID]:
    acts = UserInteraction.objects.filter(received_at__gt=_watermark(manifest), user__opted_out=False)
    return set(acts.values_list("user_id", flat=True).distinct())


def _unknown_startups(release: Release) -> tuple[int, int]:
    total = unknown = 0
    for pk in Startup.objects.filter(is_active=True).values_list("pk", flat=True).iterator(10_000):
        total += 1
        unknown += release.items.get(str(pk)) is None
    return total, unknown


def _precision(metrics: dict) -> float | None:
    figure = metrics.get("metrics", {}).get("precision@10")
    return None if figure is None else float(figure["mean"])
