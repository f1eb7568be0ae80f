"""A training by epochs that is stopped goes on from its last checkpoint, to the same bits."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from recsys.datasets.splits import Split, split_random
from recsys.datasets.user_items import Dataset
from recsys.engines.checkpoints import Checkpoints
from recsys.engines.start import Start
from recsys.errors import ConfigError
from recsys.progress import ignore_progress
from recsys.recommenders.bpr import BPRRecommender
from recsys.recommenders.hybrid_text import HybridTextRecommender
from recsys.types import ProgressCallback, ProgressReport

EPOCHS = 7


@pytest.fixture(params=[BPRRecommender, HybridTextRecommender])
def kind(request: pytest.FixtureRequest) -> type[BPRRecommender]:
    return request.param


def make(kind: type[BPRRecommender], **values: object) -> BPRRecommender:
    return kind(
        kind.config_class.default(
            **{"factors": 4, "epochs": EPOCHS, "n_popular": 4, "checkpoint_every": 2, **values}
        )
    )


def fit(
    bpr: BPRRecommender, data: Dataset | Split, folder: Path, progress: ProgressCallback = ignore_progress
) -> Checkpoints:
    """Stopped early where a split is given."""
    checkpoints = Checkpoints(folder)
    bpr.keep_checkpoints(checkpoints)
    if isinstance(data, Split):
        bpr.fit_early_stopping(data, progress)
    else:
        bpr.fit(data, progress)
    return checkpoints


def stop_after(epoch: int, epochs: int = EPOCHS) -> ProgressCallback:
    """Ctrl-C while this epoch is told."""

    def stop(report: ProgressReport) -> None:
        if round(report.fraction * epochs) == epoch:
            raise KeyboardInterrupt

    return stop


def stopped(bpr: BPRRecommender, data: Dataset | Split, folder: Path, epoch: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(bpr, data, folder, stop_after(epoch, bpr.config.epochs))


def told_epochs(bpr: BPRRecommender, data: Dataset | Split, folder: Path) -> list[int]:
    """The epochs that a fit runs."""
    told: list[int] = []
    fit(bpr, data, folder, lambda report: told.append(round(report.fraction * bpr.config.epochs)))
    return told


def assert_same_bits(one: BPRRecommender, other: BPRRecommender) -> None:
    assert one.item_factors.tobytes() == other.item_factors.tobytes()
    assert one.user_factors.tobytes() == other.user_factors.tobytes()
    if isinstance(one, HybridTextRecommender) and isinstance(other, HybridTextRecommender):
        assert one.projection.tobytes() == other.projection.tobytes()
    assert one.best_epoch == other.best_epoch
    without_seconds = [
        [{name: value for name, value in point.items() if name != "seconds"} for point in bpr.learning_curve]
        for bpr in (one, other)
    ]
    assert without_seconds[0] == without_seconds[1]


@pytest.mark.parametrize("negatives", ["uniform", "hard_mixed"])
def test_a_stopped_fit_goes_on_to_the_bits_of_one_that_was_not(
    two_circles: Dataset, kind: type[BPRRecommender], tmp_path: Path, negatives: str
) -> None:
    stopped(make(kind, negatives=negatives), two_circles, tmp_path, 5)

    resumed = make(kind, negatives=negatives)
    assert told_epochs(resumed, two_circles, tmp_path) == [
        5,
        6,
        7,
    ]  # the last checkpoint was after the fourth

    assert_same_bits(resumed, make(kind, negatives=negatives).fit(two_circles))
    seconds = [point["seconds"] for point in resumed.learning_curve]
    assert seconds == sorted(seconds)


def test_a_given_start_is_gone_on_from_with_its_first_epoch_behind(
    two_circles: Dataset, kind: type[BPRRecommender], tmp_path: Path
) -> None:
    def make_started() -> BPRRecommender:
        bpr = make(kind)
        items = np.random.default_rng(3).normal(size=(two_circles.n_items, 4)).astype(np.float32)
        bpr.start_from(Start(items, freeze_items_first=True))
        return bpr

    stopped(make_started(), two_circles, tmp_path, 3)
    resumed = make_started()
    fit(resumed, two_circles, tmp_path)

    assert_same_bits(resumed, make_started().fit(two_circles))


def test_early_stopping_goes_on_with_the_best_so_far(
    two_circles: Dataset, kind: type[BPRRecommender], tmp_path: Path
) -> None:
    """It is stopped after the best epoch, which the epochs after the checkpoint do not reach again."""
    validation = split_random(two_circles, 0.2, seed=3)
    values = {"epochs": 400, "check_every": 2, "patience": 3, "checkpoint_every": 1}
    whole = make(kind, **values).fit_early_stopping(validation)
    ends = len(whole.learning_curve)
    assert whole.best_epoch + 6 == ends < 400

    for epoch in (1, whole.best_epoch, whole.best_epoch + 3):
        folder = tmp_path / str(epoch)
        stopped(make(kind, **values), validation, folder, epoch)
        resumed = make(kind, **values)
        assert told_epochs(resumed, validation, folder) == list(range(epoch + 1, ends + 1))
        assert_same_bits(resumed, whole)


def test_a_fit_that_was_finished_is_not_done_again_until_the_training_is(
    two_circles: Dataset, kind: type[BPRRecommender], tmp_path: Path
) -> None:
    validation = split_random(two_circles, 0.2, seed=3)
    early = {"epochs": 400, "check_every": 2, "patience": 2, "checkpoint_every": 150}
    for data, values in ((two_circles, {}), (validation, early)):
        first = make(kind, **values)
        fit(first, data, tmp_path / "kept")
        again = make(kind, **values)

        assert told_epochs(again, data, tmp_path / "kept") == []

        assert_same_bits(again, first)
    assert len(list((tmp_path / "kept").iterdir())) == 2
    checkpoints = fit(make(kind), two_circles, tmp_path / "kept")
    fit(make(kind, **early), validation, tmp_path / "kept")
    checkpoints.clear()
    assert len(list((tmp_path / "kept").iterdir())) == 1  # of another training


@pytest.mark.parametrize("changed", ["data", "config", "start", "held back"])
def test_what_another_fit_left_behind_is_not_taken(
    two_circles: Dataset, kind: type[BPRRecommender], tmp_path: Path, changed: str
) -> None:
    validation = split_random(two_circles, 0.2, seed=3)
    stopped(make(kind), validation, tmp_path, 5)
    bpr = make(kind, **({"patience": 4} if changed == "config" else {}))
    if changed == "start":
        bpr.start_from(Start(np.ones((two_circles.n_items, 4), np.float32)))
    if changed == "data":
        doubled = replace(validation.train, user_items=validation.train.user_items * np.float32(2))
        validation = replace(validation, train=doubled)
    if changed == "held back":
        validation = replace(validation, test=validation.test[::-1])

    assert told_epochs(bpr, validation, tmp_path)[0] == 1


def test_other_texts_are_another_fit(two_circles: Dataset, tmp_path: Path) -> None:
    stopped(make(HybridTextRecommender), two_circles, tmp_path, 5)
    assert two_circles.catalogue is not None
    items = list(two_circles.catalogue.items)
    items[0] = replace(items[0], short_description="garden tools")
    changed = replace(two_circles, catalogue=replace(two_circles.catalogue, items=tuple(items)))

    assert told_epochs(make(HybridTextRecommender), changed, tmp_path)[0] == 1


@pytest.mark.parametrize(
    "damage", ["cut short", "one bit", "no draws", "draws of another kind", "no generator", "a shorter curve"]
)
def test_a_damaged_checkpoint_is_told_and_the_fit_begins_anew(
    two_circles: Dataset,
    kind: type[BPRRecommender],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    stopped(make(kind), two_circles, tmp_path, 5)
    (path,) = tmp_path.glob(f"{kind.name}-*.npz")
    content = bytearray(path.read_bytes())
    if damage == "cut short":
        path.write_bytes(content[:-300])
    elif damage == "one bit":
        content[content.index(b"users.npy") + 400] ^= 1
        path.write_bytes(content)
    else:
        with np.load(path) as arrays:
            parts = dict(arrays)
        told = json.loads(str(parts["told"]))
        if damage == "no draws":
            del parts["draws"]
        elif damage == "draws of another kind":
            parts["draws"] = parts["draws"].astype(np.float64)
        elif damage == "no generator":
            told["generator"] = {"bit_generator": "MT19937"}
        else:
            told["curve"] = told["curve"][1:]
        np.savez(path, **{**parts, "told": np.array(json.dumps(told))})

    bpr = make(kind)
    assert told_epochs(bpr, two_circles, tmp_path)[0] == 1

    assert f"checkpoint damaged, {kind.name} begins anew" in caplog.text
    assert_same_bits(bpr, make(kind).fit(two_circles))


def test_it_says_how_to_go_on(
    two_circles: Dataset, kind: type[BPRRecommender], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    checkpoints = fit(make(kind), two_circles, tmp_path)
    assert f"{kind.name} is kept up to epoch 7 in" in (checkpoints.how_to_go_on or "")
    fit(make(kind), two_circles, tmp_path)
    assert f"{kind.name} goes on from a checkpoint epoch=7" in caplog.text


def test_zero_asks_for_none(two_circles: Dataset, kind: type[BPRRecommender], tmp_path: Path) -> None:
    fit(make(kind, checkpoint_every=0), two_circles, tmp_path / "none")

    assert not (tmp_path / "none").exists()
    with pytest.raises(ConfigError, match=rf"{kind.name}\.checkpoint_every is -1"):
        make(kind, checkpoint_every=-1)


def test_a_release_made_before_there_were_checkpoints_is_loaded(
    two_circles: Dataset, kind: type[BPRRecommender], tmp_path: Path
) -> None:
    bpr = make(kind).fit(two_circles)
    bpr.save(tmp_path)
    recipe = asdict(bpr.config)
    del recipe["checkpoint_every"]

    assert kind.load(tmp_path, recipe).config == replace(bpr.config, checkpoint_every=0)
    with pytest.raises(ConfigError, match="lacks factors"):
        kind.config_class.from_recipe({name: value for name, value in recipe.items() if name != "factors"})
