"""The gate: what is served is replaced by a scheduled training only when that is not worse.

Two recipes are compared, not two models: the served recipe is fitted again on the same train part as the
candidate's, and both are measured on the same later acts, user by user (docs/decisions/0008).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from recsys.artifacts.manifest import RecommenderEntry
from recsys.artifacts.publish import Trained
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset
from recsys.errors import RecsysError, UnavailableError
from recsys.evaluation.bootstrap import Interval, paired_difference_interval
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.evaluation.ranked_lists import recommend_unseen
from recsys.metrics.ranking import relevant_counts
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.base import Recommender, is_finite
from recsys.recommenders.table import BASELINE
from recsys.recommenders.text_start import AT_RANDOM, STARTED, TextStartConfig, text_start_options
from recsys.training.choosing import fit_one
from recsys.types import ProgressCallback

logger = logging.getLogger(__name__)

PERSONAL = ("als", "two_tower", "ensemble")  # each must tell people apart better than the baseline does
LEAST_USERS = 200  # with fewer an interval is too wide to say that something is not worse
LEAST_COVERAGE_SHARE = 0.5
LISTS_LOOKED_AT = 1_000
LEAD = "lead_over_baseline"  # in the metrics of a manifest


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `says` names it, what was found, and when it failed the mend."""

    name: str
    passed: bool
    says: str
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What the gate found. `notes` say what could not be looked at, and why."""

    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def faults(self) -> list[str]:
        """What the failed checks say."""
        return [check.says for check in self.checks if not check.passed]

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(self.checks + other.checks, self.notes + other.notes)

    def to_json(self) -> dict[str, Any]:
        """A dictionary json.dumps takes."""
        checks = [{**asdict(check), "facts": dict(check.facts)} for check in self.checks]
        return {"accepted": self.accepted, "checks": checks, "notes": list(self.notes)}


@dataclass(frozen=True)
class Candidate:
    """What a training has measured: fitted on the train part of `split`, by name.

    `text_start` are options that were given for it, over those of the configuration.
    """

    split: Split
    fitted: Mapping[str, Recommender]
    evaluations: Mapping[str, Evaluation]
    text_start: Mapping[str, object] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """NDCG at the plan's cut-off."""
        return f"ndcg@{self.evaluations[BASELINE].k}"


def check_people(dataset: Dataset) -> Verdict:
    """Whether there is anybody to learn from by comparing people."""
    n_people = int(np.count_nonzero(relevant_counts(dataset.user_items)))
    says = f"{n_people:,} users have liked, viewed or clicked something"
    if n_people < 2:
        says = (
            "All interactions are of one user, so nothing can be learned from comparing people; look at "
            "how the acts are exported, or collect more."
        )
    return Verdict((Check("people", n_people >= 2, says, {"users": n_people}),))


def check_kept(
    served: Mapping[str, RecommenderEntry], wanted: Sequence[str], trained: Sequence[str]
) -> Verdict:
    """Whether what is served and wanted could be trained."""
    lost = [name for name in wanted if name in served and name not in trained]
    return Verdict(
        tuple(
            Check(
                f"{name} is trained",
                False,
                f"{name} is served but could not be trained on this dataset, and would no longer be served; "
                "the warnings say why.",
            )
            for name in lost
        )
    )


def check_beside_popularity(candidate: Candidate, served: Mapping[str, RecommenderEntry]) -> Verdict:
    """Whether each personal recommender ranks better than the list everybody gets.

    Shown by the interval, for a random ranking ties with a flat popularity as often as not. One whose
    served release was not shown to be better either, when it was made, is let through and noted:
    keeping that release would serve nobody better.
    """
    verdict = Verdict()
    for name in PERSONAL:
        if name not in candidate.evaluations:
            continue
        check = _beats_baseline(candidate.evaluations[name], candidate)
        before = served[name].metrics.get(LEAD) if name in served else None
        if before is None or check.passed or before["low"] > 0:
            verdict += Verdict((check,))
        else:
            note = f"{check.says} Nor was the served release when it was made, so this decides nothing."
            verdict += Verdict(notes=(note,))
    return verdict


def lead_over_baseline(evaluation: Evaluation, baseline: Evaluation) -> dict[str, float]:
    """NDCG above popularity's, over the users it can answer: nobody else is given to it.

    Returns:
        mean, low and high (95 %) and the number of users; nothing when it can answer none.
    """
    answered = evaluation.answered
    if not answered.any():
        return {}
    metric = f"ndcg@{evaluation.k}"
    own, popular = (one.per_user[metric][answered] for one in (evaluation, baseline))
    return _numbers(paired_difference_interval(own, popular, seed=0), int(answered.sum()))


def compare_with_served(
    candidate: Candidate,
    served: Mapping[str, RecommenderEntry],
    *,
    max_loss: float,
    seed: int,
    progress: ProgressCallback = ignore_progress,
) -> Verdict:
    """Each recommender beside the served recipe, fitted on the same train part.

    Where the recipes are the same the measured fit stands for both, and nothing is fitted again.

    Args:
        candidate: what was measured.
        served: the entries of the served release's manifest.
        max_loss: share of NDCG that may be lost, such as 0.05.
        seed: of the bootstrap.
        progress: told how far the fits are.
    """
    verdict = Verdict()
    before: dict[str, Recommender] = {}  # the served recipes, fitted on this train part
    names = [name for name in candidate.fitted if name != BASELINE and name in served]
    stages = StagedProgress(progress, dict.fromkeys(names, 1.0) or {"": 1.0})
    for name in names:
        if _same_recipe(name, candidate, served, before):
            before[name] = candidate.fitted[name]
            verdict += Verdict(notes=(f"{name}: same recipe as served, so it is not fitted twice.",))
            verdict += _shows_as_many(candidate.evaluations[name], served[name].metrics)
            continue
        try:
            recipe = {name: served[name].recipe, TextStartConfig.section: _text_start(served[name])}
            before[name] = fit_one(name, candidate.split.train, recipe, before, stages.within(name))
            measured = _measure_again(before[name], candidate, seed)
        except UnavailableError:
            raise  # trying again later may do; the gate is not to be weaker for it
        except RecsysError as error:
            logger.warning("served recipe not fitted recommender=%s reason=%s", name, error)
            note = f"{name}: the served recipe cannot be fitted any more ({error})"
            verdict += Verdict(notes=(f"{note}; judged beside popularity alone.",))
            continue
        verdict += _not_worse(candidate.evaluations[name], measured, max_loss, seed)
    return verdict


def check_lists(trained: Sequence[Trained], dataset: Dataset, *, k: int) -> Verdict:
    """What will be published, asked for lists: finite scores, and nothing that a user dislikes.

    Of people with active dislikes, a thousand at most, or of the first thousand where nobody has any.
    """
    users = np.flatnonzero(np.diff(dataset.negative.indptr))[:LISTS_LOOKED_AT]
    if len(users) == 0:
        users = np.arange(dataset.n_users)[:LISTS_LOOKED_AT]
    return Verdict(tuple(_check_lists(one.recommender, dataset, users.tolist(), k) for one in trained))


def _beats_baseline(evaluation: Evaluation, candidate: Candidate) -> Check:
    name, metric, answered = evaluation.recommender, candidate.metric, evaluation.answered
    baseline = candidate.evaluations[BASELINE]
    lead = lead_over_baseline(evaluation, baseline)
    if not lead:
        says = f"{name} can answer none of the {evaluation.n_users:,} test users; it needs more acts."
        return Check(f"{name} beats popularity", False, says)
    own, popular = (float(one.per_user[metric][answered].mean()) for one in (evaluation, baseline))
    passed = lead["low"] > 0
    says = (
        f"{name} measures {metric} {own:.4f} over {lead['users']:,} test users, popularity "
        f"{popular:.4f}: a lead of {lead['mean']:+.4f} (95 % from {lead['low']:+.4f} to {lead['high']:+.4f})"
    )
    if not passed:
        says += (
            ", not shown to be better than the same list for everybody; the acts may be damaged, or the "
            f"hyper-parameters need tuning (recsys tune {name if name != 'ensemble' else 'als'})."
        )
    return Check(f"{name} beats popularity", passed, says, lead)


def _shows_as_many(evaluation: Evaluation, before: Mapping[str, Any]) -> Verdict:
    """Coverage beside what the served release measured; fewer lists show fewer startups by themselves."""
    name, was, now = evaluation.recommender, before.get("coverage"), evaluation.coverage
    if was is None or before.get("k") != evaluation.k or before.get("n_users", 0) > evaluation.n_users:
        return Verdict(
            notes=(f"{name}: coverage is not compared, the served one was measured on more users.",)
        )
    passed = now >= LEAST_COVERAGE_SHARE * was
    says = f"{name} shows {now:.1%} of the startups in lists of {evaluation.k}, the served one {was:.1%}"
    if not passed:
        says += ", less than half as many; people would all be shown the same few."
    return Verdict((Check(f"{name} covers the catalogue", passed, says, {"coverage": now, "served": was}),))


def _same_recipe(
    name: str,
    candidate: Candidate,
    served: Mapping[str, RecommenderEntry],
    before: Mapping[str, Recommender],
) -> bool:
    """Also of what it is put together from, and of where it starts."""
    recommender = candidate.fitted[name]
    same_parts = all(before.get(part) is candidate.fitted[part] for part in recommender.parts)
    started = text_start_options(name, candidate.text_start) or AT_RANDOM
    same_start = name not in STARTED or started == _text_start(served[name])
    return same_parts and same_start and asdict(recommender.config) == served[name].recipe


def _text_start(served: RecommenderEntry) -> Mapping[str, object]:
    options: Mapping[str, object] = served.facts.get("text_start", AT_RANDOM)
    return options


def _measure_again(recommender: Recommender, candidate: Candidate, seed: int) -> Evaluation:
    return evaluate(recommender, candidate.split, k=candidate.evaluations[BASELINE].k, seed=seed)


def _not_worse(now: Evaluation, before: Evaluation, max_loss: float, seed: int) -> Verdict:
    name, metric = now.recommender, f"ndcg@{now.k}"
    verdict = _shows_as_many(now, before.to_json())
    n_users = int((now.answered | before.answered).sum())
    if n_users < LEAST_USERS:
        note = f"{name}: {n_users:,} test users, fewer than {LEAST_USERS}, are too few to compare recipes"
        return verdict + Verdict(notes=(f"{note}; judged beside popularity alone.",))
    is_, was = (one.metrics[metric]["mean"] for one in (now, before))
    if was == 0:
        return verdict + Verdict(notes=(f"{name}: the served recipe measures {metric} 0 on these users.",))
    change = now.lift_over(before, metric, seed=seed)
    passed = change["low"] > -max_loss
    says = (
        f"{name} measures {metric} {is_:.4f}, the served recipe on the same data {was:.4f}: "
        f"{change['mean']:+.1%} (95 % from {change['low']:+.1%} to {change['high']:+.1%}) over {n_users:,} "
        f"test users"
    )
    if not passed:
        says += (
            f", so a loss of {max_loss:.0%} cannot be ruled out; put the served recipe into "
            "training_config.yaml, or publish by hand."
        )
    return verdict + Verdict((Check(f"{name} is not worse", passed, says, _numbers(change, n_users)),))


def _numbers(interval: Interval, n_users: int) -> dict[str, float]:
    return {
        "mean": interval["mean"],
        "low": interval["low"],
        "high": interval["high"],
        "users": n_users,
    }


def _check_lists(recommender: Recommender, dataset: Dataset, users: list[int], k: int) -> Check:
    name = recommender.name
    title = f"{name} is sound"
    vectors = recommender.item_vectors()
    if vectors is not None and not is_finite(vectors):
        return Check(title, False, f"The vectors of {name} hold values that are not finite; train again.")
    histories = (dataset.history(user) for user in users)
    ranked = (one for lists in recommend_unseen(recommender, histories, k) for one in lists)
    for user, one in zip(users, islice(ranked, len(users)), strict=True):
        if one is None:
            continue
        history = dataset.history(user)
        # What is no number stands in no list: an empty one is looked into.
        scores = one.scores if len(one.scores) else recommender.score_batch([history])
        if not np.isfinite(scores).all():
            return Check(title, False, f"{name} gives scores that are not finite; train again.")
        disliked = np.intersect1d(one.item_indices, history.disliked)
        if len(disliked):
            says = f"{name} offers {len(disliked)} of {k} startups to somebody who dislikes them."
            return Check(title, False, says)
    says = f"{name}: {len(users):,} lists with finite scores and no active dislike"
    return Check(title, True, says, {"lists": len(users)})
