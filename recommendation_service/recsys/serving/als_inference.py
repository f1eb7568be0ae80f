"""ALS from Python, without Redis and without routing: a path in, the service's own answer out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recsys.artifacts.layout import MANIFEST_FILE
from recsys.artifacts.release import Release, open_current, open_release
from recsys.errors import ArtifactError, NotFoundError, RecsysError
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.base import top_items
from recsys.serving.answers import Answer
from recsys.serving.explanations import Asker
from recsys.serving.filling import Filled, Places, as_list, reasons_for
from recsys.serving.live_catalogue import LiveCatalogue
from recsys.serving.retrieval import rank
from recsys.serving.served import Served, combine
from recsys.serving.steering import check_limit
from recsys.types import BoolArray, History, Recommendation


class ALSInference:
    """Answers `als` for every user of the training, as of the training.

    >>> als = ALSInference("models/als_v1.pkl")  # doctest: +SKIP
    >>> als.recommend(user_id="0b0e...", limit=10)["method_used"]  # doctest: +SKIP
    'als'
    """

    def __init__(self, model_path: str | Path) -> None:
        """Load the release the path belongs to, or the five documented files beside it.

        Args:
            model_path: models/als_v1.pkl, or the folder. The file is for people and is never opened.

        Raises:
            ArtifactError: "Model loading failed: ..." with the file, what is wrong, and the mend.
        """
        release = _open(Path(model_path))
        als = release.recommenders.get("als")
        if not isinstance(als, ALSRecommender):
            raise ArtifactError(
                f"Model loading failed: release {release.version} holds no als; run train_als.py."
            )
        self._als = als
        self._served = combine(release, LiveCatalogue())

    def recommend(self, user_id: str, limit: int = 10) -> dict[str, Any]:
        """The same dictionary as GET /recommend; see `Answer`.

        Args:
            user_id: somebody who was in the training.
            limit: how many startups at most, 1 to 100.

        Raises:
            NotFoundError: the user was not in the training.
            InvalidRequestError: the limit is out of range.
        """
        check_limit(limit)
        release = self._served.release
        user_index = release.user_mapping.get(user_id)
        if user_index is None:
            raise NotFoundError(
                f"The user {user_id} was not in the training of {release.version}; ask the service, which "
                "knows what they did since, or train again.",
                user_id=user_id,
            )
        history = release.history_of(user_id)
        why_not = None if history is None else self._als.why_not(history)
        popularity = release.recommenders.get("popularity")
        name = self._als.name
        if history is not None and why_not is not None and popularity is not None:
            allowed, asker = _allowed(self._served, user_id, history), Asker(history)
            name, ranked = popularity.name, rank(popularity, history, limit, allowed)
        else:
            ranked, asker = self._rank(user_id, user_index, history, limit)
        scores = release.scale(name, ranked.scores)
        places = Places.none().followed_by(ranked.item_indices, scores, name)
        filled = Filled(places, name, (), (name,))
        made = as_list(self._served, filled, reasons_for(self._served, places, asker, now_s=0.0), [why_not])
        return Answer.from_list(made, user_id, len(asker.history.item_indices)).to_json()

    def _rank(
        self, user_id: str, user_index: int, history: History | None, limit: int
    ) -> tuple[Recommendation, Asker]:
        """By the user's acts where the release holds them, else by their trained factors."""
        allowed = _allowed(self._served, user_id, history)
        if history is None:
            scores = self._als.item_factors @ self._als.user_factors[user_index]
            return top_items(scores, limit, allowed[: len(scores)]), Asker(History.empty())
        return rank(self._als, history, limit, allowed), Asker(history)


def _open(path: Path) -> Release:
    folder = path if path.is_dir() else path.parent
    if not (folder / MANIFEST_FILE).is_file():
        return open_current(folder)
    try:
        return open_release(folder)
    except RecsysError as error:
        raise ArtifactError(f"Model loading failed: {error}") from error


def _allowed(served: Served, user_id: str, history: History | None) -> BoolArray:
    allowed = served.active.copy()
    allowed[served.owned.get(user_id)] = False
    if history is not None:
        allowed[history.item_indices] = False
    return allowed
