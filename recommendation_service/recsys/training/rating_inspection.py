"""A look at what a rating recommender has learned, and a smoke check over all categories of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsys.artifacts.rating_artifact import RatingArtifact, load_rating_artifact
from recsys.errors import ArtifactError, InvalidRequestError
from recsys.evaluation.rating_evaluation import predict_pairs, rank_users
from recsys.metrics.ranking import catalogue_coverage
from recsys.metrics.rating import rating_metrics
from recsys.recommenders.base import is_finite, load_array, top_items
from recsys.recommenders.rating_base import MANIFEST_FILE, RatingRecommender
from recsys.training.rating_report import printable
from recsys.types import Float32Array, Int32Array

PARTS = ("train", "validation", "test")
COVERAGE_K = 10
COVERAGE_USERS = 3_000
PASS, FAIL = "pass", "FAIL"


@dataclass(frozen=True, slots=True)
class RankedAnswer:
    """A list for one user: `points` are predicted for each item; `label` says what it rests on."""

    item_indices: Int32Array
    scores: Float32Array
    points: Float32Array
    is_known: bool
    label: str


@dataclass(frozen=True, slots=True)
class Check:
    """How one category stood the smoke check."""

    category: str
    outcome: str
    detail: str


def artifact_folder(models: Path, category: str) -> Path:
    """The folder of a category.

    Raises:
        ArtifactError: there is none; the message names where it was looked for and what is there.
    """
    if category in ("", "..") or Path(category).name != category:
        raise ArtifactError(f"{category!r} is no category: give the name of a folder in {models.absolute()}.")
    folder = models / category
    if not (folder / MANIFEST_FILE).is_file():
        there = ", ".join(trained_categories(models)) or "none"
        raise ArtifactError(
            f"{(folder / MANIFEST_FILE).absolute()} does not exist; trained there: {there}. Train the "
            "category, or name another folder with --models."
        )
    return folder


def trained_categories(models: Path) -> list[str]:
    """The categories with a manifest, by name."""
    return sorted(path.parent.name for path in models.glob(f"*/{MANIFEST_FILE}"))


def recommend_for(artifact: RatingArtifact, user_id: str, limit: int) -> RankedAnswer:
    """The best items a user has not rated.

    Raises:
        InvalidRequestError: the limit is below 1.
    """
    if limit < 1:
        raise InvalidRequestError(f"limit is {limit}; ask for at least 1.")
    recommender = artifact.recommender
    user = artifact.user_mapping.indices([user_id.strip()])  # as the import takes ids
    is_known = bool(user[0] >= 0 and recommender.known_users[user[0]])
    allowed = recommender.known_items.copy()
    if is_known:
        allowed[artifact.rated_by(int(user[0]))] = False
    best = top_items(recommender.score_users(user)[0], limit, allowed)
    items = best.item_indices
    points = recommender.predict(np.full(len(items), user[0], np.int32), items)
    label = ""
    if not is_known:
        rests_on = "by item biases alone, the same for everybody new"
        if user[0] >= 0 and _are_told_apart(recommender, int(user[0])):
            rests_on = "by what is known of the user beside ratings"
        label = f"user {printable(user_id) or 'without a name'} has no rating here: {rests_on}"
    elif not len(items):
        label = f"user {printable(user_id)} has rated every item here: there is nothing left to offer"
    return RankedAnswer(items, best.scores, points, is_known, label)


def _are_told_apart(recommender: RatingRecommender, user: int) -> bool:
    """Whether a user without a rating gets another list than somebody nobody knows: by features."""
    own, of_nobody = recommender.score_users(np.array([user, -1], np.int32))
    shift = own - of_nobody  # the same for every item where only the user's bias differs
    return bool(np.ptp(shift) > 1e-5 * max(np.ptp(own), np.ptp(of_nobody)))


def format_answer(artifact: RatingArtifact, answer: RankedAnswer) -> list[list[str]]:
    """Rows of rank, item, name (where known), score and predicted points, with a header."""
    names = artifact.item_names
    header = ["rank", "item", *(["name"] if names else []), "score", "points"]
    rows = [
        [
            str(rank),
            printable(artifact.item_mapping.ids[item]),
            *([printable(names[item])] if names else []),
            f"{answer.scores[rank - 1]:.4f}",
            f"{answer.points[rank - 1]:.2f}",
        ]
        for rank, item in enumerate(answer.item_indices.tolist(), start=1)
    ]
    return [header, *rows]


def inspect_artifact(artifact: RatingArtifact, folder: Path) -> str:
    """Split statistics, factor magnitudes, errors on what it learned from, and coverage, as text."""
    manifest = artifact.manifest
    lines = [
        f"{printable(folder.name)}: {manifest['recommender']}, trained {manifest.get('trained_at', '?')}"
    ]
    lines += ["  " + " ".join(f"{name}={value}" for name, value in manifest["recipe"].items()), "", "Split"]
    split = manifest.get("split", {})
    lines += [f"  {split.get('strategy', 'not recorded')}"]
    lines += [
        f"  {part:<11}{facts['ratings']:>11,} ratings {facts['users']:>9,} users {facts['items']:>9,} items, "
        f"sparsity {facts['sparsity']:.2%}"
        for part in PARTS
        if (facts := split.get(part))
    ]
    lines += ["", "Factors (mean and deviation of the magnitudes, longest row)", *_magnitudes(folder)]
    health = artifact.recommender.health_report()
    lines += ["", "Health of the fit", *(f"  {line}" for line in health)] if health else []
    return "\n".join((*lines, "", *_errors(artifact), "", *_coverage(artifact)))


def check_category(models: Path, category: str, name: str, limit: int = COVERAGE_K) -> Check:
    """Load a category and ask it twice, for somebody it knows and for somebody it cannot know."""
    try:
        artifact = load_rating_artifact(artifact_folder(models, category), name)
        return Check(category, PASS, _ask(artifact, limit))
    except Exception as error:
        # A smoke check tells of every fault, of ours or not, and goes on.
        return Check(category, FAIL, str(error) or repr(error))


def _ask(artifact: RatingArtifact, limit: int) -> str:
    recommender = artifact.recommender
    user = int(np.argmax(recommender.known_users))
    rated = artifact.rated_by(user)
    answer = recommend_for(artifact, artifact.user_mapping.ids[user], limit)
    expected = min(limit, int(recommender.known_items.sum()) - len(rated))
    low, high = recommender.range
    stranger = recommend_for(artifact, "", limit)
    faults = {
        f"{len(answer.item_indices)} items offered, not {expected}": len(answer.item_indices) != expected,
        "an item is offered that the user has rated": bool(np.isin(answer.item_indices, rated).any()),
        "a score or a prediction is not finite": not (is_finite(answer.scores) and is_finite(answer.points)),
        "points outside the range": bool(((answer.points < low) | (answer.points > high)).any()),
        "the scores do not fall": bool((np.diff(answer.scores) > 0).any()),
        "a stranger is not told apart": stranger.is_known or not stranger.label,
    }
    found = [fault for fault, is_there in faults.items() if is_there]
    if found:
        raise ArtifactError("; ".join(found) + ": train it again.")
    scores = f", scores {answer.scores[-1]:.3f} to {answer.scores[0]:.3f}" if len(answer.scores) else ""
    return (
        f"{recommender.n_users:,} users, {recommender.n_items:,} items, {len(answer.scores)} offered{scores}"
    )


def _magnitudes(folder: Path) -> list[str]:
    lines = []
    for path in sorted(folder.glob("*_factors.npy"), reverse=True):
        factors = load_array(path)
        sizes = np.abs(factors)
        longest = np.linalg.norm(factors, axis=1).max(initial=0.0)
        lines.append(
            f"  {path.stem:<14}{factors.shape[0]:>9,} x {factors.shape[1]:<5} mean {sizes.mean():.4f}, "
            f"deviation {sizes.std():.4f}, longest {longest:.4f}"
        )
    return lines or ["  it has none"]


def _errors(artifact: RatingArtifact) -> list[str]:
    ratings = artifact.learned_from
    predicted = predict_pairs(artifact.recommender, ratings.user_index, ratings.item_index)
    lines = [
        f"Errors on the {len(ratings):,} ratings it learned from",
        _figures(rating_metrics(predicted, ratings.points)),
    ]
    tested = artifact.manifest.get("metrics", {})
    if tested:
        lines += ["On the test part", _figures(tested["figures"]), f"  {tested['protocol']}"]
    return lines


def _figures(figures: dict[str, float]) -> str:
    return "  " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items())


def _coverage(artifact: RatingArtifact) -> list[str]:
    recommender = artifact.recommender
    known = np.flatnonzero(recommender.known_users).astype(np.int32)
    users = known
    if len(known) > COVERAGE_USERS:
        users = np.sort(np.random.default_rng(0).choice(known, COVERAGE_USERS, replace=False))
    ranked = rank_users(recommender, users, COVERAGE_K, artifact.learned_from)
    share = catalogue_coverage(ranked, recommender.n_items)
    return [
        "Coverage",
        f"  {len(known):,} of {recommender.n_users:,} users and {int(recommender.known_items.sum()):,} of "
        f"{recommender.n_items:,} items had a rating in training",
        f"  {share:.1%} of the items stand in the first {COVERAGE_K} of {len(users):,} users",
    ]
