"""Spark itself, in a process of its own: what it finds solves the equations that a fold-in solves."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.engines import spark_engine
from recsys.engines.als_config import ALSConfig
from recsys.engines.fold_in import MIN_DISLIKE_CONFIDENCE
from recsys.engines.iterations import Course
from recsys.engines.start import Start
from recsys.errors import ConfigError, DataError, UnavailableError
from recsys.progress import ignore_progress
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.als_ratings import ALSRatingsConfig
from recsys.recommenders.text_start import TextStartConfig, make_start
from recsys.training.memory import estimate_fit_bytes
from recsys.training.warm_start import warm_start
from recsys.types import ProgressReport

N_USERS, N_ITEMS = 60, 40
ALL_DISLIKES, DISLIKED_BY_ALL = 5, 7
CONFIG = {"engine": "spark", "factors": 6, "iterations": 5, "alpha": 3.0, "regularization": 0.1}


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(spark_engine.MASTER, raising=False)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    weights = rng.choice([0.0, 0.0, 0.0, 0.0, -1.0, 0.5, 2.0, 4.5], (N_USERS, N_ITEMS)).astype(np.float32)
    weights[ALL_DISLIKES] = np.minimum(weights[ALL_DISLIKES], 0)
    weights[:, DISLIKED_BY_ALL] = np.minimum(weights[:, DISLIKED_BY_ALL], 0)
    ids = [IdMap(f"{side}{n}" for n in range(size)) for side, size in zip("ui", weights.shape, strict=True)]
    texts = Catalogue(tuple(CatalogueItem(i, f"Bank {i}", "payments") for i in ids[1].ids))
    return Dataset(csr_matrix(weights), *ids, catalogue=texts)


@pytest.fixture(scope="session")
def spark() -> None:
    """Skipped where pyspark or Java is missing; in continuous integration that fails."""
    if find_spec("pyspark") is not None and shutil.which("java") is not None:
        return
    missing = "No pyspark (pip install -e '.[spark]') or no Java (apt-get install openjdk-17-jre-headless)"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def reports() -> list[ProgressReport]:
    return []


@pytest.fixture(scope="module")
def als(spark: None, dataset: Dataset, reports: list[ProgressReport]) -> ALSRecommender:
    return ALSRecommender(ALSConfig.default(**CONFIG)).fit(dataset, reports.append)


@pytest.mark.slow
def test_the_users_it_learned_are_where_the_objective_is_flat(als: ALSRecommender, dataset: Dataset) -> None:
    """Half the gradient for each user, over every item: MLlib solves the users last."""
    items = als.item_factors.astype(np.float64)
    for user in range(N_USERS):
        cell, x = dataset.user_items[[user]].toarray()[0].astype(np.float64), als.user_factors[user]
        confidence = 1.0 + 3.0 * np.abs(cell)
        confidence[cell < 0] = np.maximum(confidence[cell < 0], MIN_DISLIKE_CONFIDENCE)
        gradient = (confidence * (x @ items.T - (cell > 0))) @ items + 0.1 * (cell > 0).sum() * x
        np.testing.assert_allclose(gradient, 0, atol=1e-4)


@pytest.mark.slow
def test_a_fold_in_gives_the_users_it_learned(als: ALSRecommender, dataset: Dataset) -> None:
    folded = als.user_vectors([dataset.history(user) for user in range(N_USERS)])

    np.testing.assert_allclose(folded, als.user_factors, atol=1e-5)
    assert np.abs(folded).max() > 0.1


@pytest.mark.slow
def test_whom_nobody_likes_has_factors_of_zero(als: ALSRecommender) -> None:
    assert not als.user_factors[ALL_DISLIKES].any()
    assert not als.item_factors[DISLIKED_BY_ALL].any()
    assert als.user_factors.any(axis=1).sum() == N_USERS - 1
    assert als.item_factors.any(axis=1).sum() == N_ITEMS - 1


@pytest.mark.slow
def test_it_tells_the_iteration_while_it_runs(als: ALSRecommender, reports: list[ProgressReport]) -> None:
    fractions = [report.fraction for report in reports]

    assert fractions == sorted(set(fractions))
    assert fractions[-1] == 1.0
    assert [report.facts["iteration"] / 5 for report in reports] == fractions
    assert als.learning_curve[0]["iteration"] == als.best_iteration == 5


@pytest.mark.slow
def test_what_is_saved_is_loaded_with_its_own_objective(
    als: ALSRecommender, dataset: Dataset, tmp_path: Path
) -> None:
    als.save(tmp_path)
    histories = [dataset.history(user) for user in range(5)]

    loaded = ALSRecommender.load(tmp_path, asdict(als.config))

    np.testing.assert_array_equal(loaded.score_batch(histories), als.score_batch(histories))
    model = pickle.loads((tmp_path / "als_v1.pkl").read_bytes())  # noqa: S301  # our own, written above
    np.testing.assert_array_equal(model.item_factors, als.item_factors)
    np.testing.assert_array_equal(model.user_factors, als.user_factors)


@pytest.mark.slow
def test_an_interruption_ends_spark_and_leaves_nothing(
    spark: None, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    running: list[int] = []

    def interrupt(report: ProgressReport) -> None:
        running.extend(jobs_in(tmp_path))
        raise KeyboardInterrupt

    config = ALSConfig.default(**{**CONFIG, "iterations": 200})
    with pytest.raises(KeyboardInterrupt):
        spark_engine.fit_factors(dataset, config, interrupt)

    assert len(running) == 1
    assert not processes_of_group(running[0])
    assert not list(tmp_path.glob("recsys-spark-*"))


KILLED = """
import sys
from pathlib import Path
from recsys.datasets.user_items import load_dataset
from recsys.engines import spark_engine
from recsys.engines.als_config import ALSConfig
config = ALSConfig.default(engine="spark", factors=6, iterations=300, alpha=3.0, regularization=0.1)
spark_engine.fit_factors(load_dataset(Path(sys.argv[1])), config, lambda report: print("told", flush=True))
"""


@pytest.mark.slow
def test_spark_ends_with_a_training_that_is_killed(spark: None, dataset: Dataset, tmp_path: Path) -> None:
    data, temporary = tmp_path / "data", tmp_path / "temporary"
    for folder in (data, temporary):
        folder.mkdir()
    save_dataset(dataset, data)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data)],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as training:
        assert training.stdout is not None
        training.stdout.readline()
        (job,) = jobs_in(temporary)
        watched = [os.pidfd_open(pid) for pid in processes_of_group(job)]
        training.kill()

    for ended in watched:
        assert select.select([ended], [], [], 60)[0]
        os.close(ended)
    assert len(watched) == 2  # Python and Java
    assert not list(temporary.glob("recsys-spark-*"))


def jobs_in(folder: Path) -> list[int]:
    """The processes of `spark_job` that work in a temporary folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # has ended
            command = (process / "cmdline").read_bytes()
            if b"spark_job.py" in command and str(folder).encode() in command:
                found.append(int(process.name))
    return found


def processes_of_group(leader: int) -> list[int]:
    """Those of a process group that have not ended."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state != "Z":
                found.append(int(process.name))
    return found


@pytest.mark.slow
def test_a_penalty_that_leaves_nothing_is_told(spark: None, dataset: Dataset) -> None:
    config = ALSConfig.default(**{**CONFIG, "regularization": 1e6})

    with pytest.raises(DataError, match=r"All factors of als vanish .* lower als\.regularization"):
        spark_engine.fit_factors(dataset, config, ignore_progress)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RECSYS_SPARK_MASTER": "sparkle"}, "RECSYS_SPARK_MASTER is not the address of a cluster"),
        ({"PYSPARK_SUBMIT_ARGS": "--driver-memory 100m pyspark-shell"}, "must be at least .* Its log ends"),
        (
            {"PYSPARK_SUBMIT_ARGS": "--driver-memory 1g"},
            "PYSPARK_SUBMIT_ARGS, if set, must end in pyspark-shell",
        ),
    ],
)
def test_what_spark_refuses_is_told(
    spark: None,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    message: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(UnavailableError, match=f"Spark did not fit als: .*{message}"):
        spark_engine.fit_factors(dataset, ALSConfig.default(**CONFIG), ignore_progress)


def test_a_machine_without_java_is_told_what_to_install(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(UnavailableError, match=r"needs Java 17.*apt-get install|pip install '\.\[spark\]'"):
        spark_engine.fit_factors(dataset, ALSConfig.default(**CONFIG), ignore_progress)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"patience": 2}, "als.patience is 2; it must be 0 with the engine spark"),
        ({"track_loss": True}, "als.track_loss is True; it must be false with the engine spark"),
        ({"use_gpu": True}, "als.use_gpu is True; it must be false with the engine spark"),
    ],
)
def test_what_it_cannot_do_is_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ALSConfig.default(**{**CONFIG, **parameters})


def test_a_start_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    config = ALSConfig.default(**CONFIG)
    start = Start(np.ones((N_ITEMS, 6), np.float32))

    with pytest.raises(DataError, match="cannot start from given factors"):
        spark_engine.fit_factors(dataset, config, ignore_progress, Course(start))
    with pytest.raises(ConfigError, match=r"text_start\.vectors is tfidf, but als with als\.engine=spark"):
        make_start(dataset, config, TextStartConfig.default(vectors="tfidf"))
    warm = warm_start(tmp_path, dataset, config)
    assert warm.start is None
    assert "the engine spark draws its own start" in warm.says


def test_confidences_of_ratings_come_out_as_they_went_in() -> None:
    cells = np.array([5.5, 4.5, -3.5, -1.0], np.float32)
    direct = ALSRatingsConfig.default(engine="spark", confidence="direct", alpha=8.0)
    scaled = ALSRatingsConfig.default(engine="spark", confidence="scaled", alpha=10.0)

    for config, expected in ((direct, [5.5, 4.5, 3.5, 1.0]), (scaled, [10.0, 8.0, 6.0, 1.0])):
        weights = config.weights(cells)
        np.testing.assert_allclose(spark_engine.confidences(weights, config), expected, rtol=1e-6)
        np.testing.assert_array_equal(weights > 0, [True, True, False, False])


def test_the_memory_of_java_counts_where_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = csr_matrix(np.ones((3000, 3000), np.float32))
    large = Dataset(cells, *(IdMap(f"{side}{n}" for n in range(3000)) for side in "ui"))
    config = ALSConfig.default(**CONFIG)

    here = estimate_fit_bytes("als", large, config)
    monkeypatch.setenv("RECSYS_SPARK_MASTER", "spark://cluster:7077")
    there = estimate_fit_bytes("als", large, config)

    assert spark_engine.heap_bytes(3000, 3000, cells.nnz, 6) < here < 4 * 2**30
    assert there < here - 100 * cells.nnz
