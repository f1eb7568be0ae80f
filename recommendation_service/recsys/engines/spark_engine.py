"""ALS by MLlib on Spark, for cells that one machine's memory does not hold (Hu, Koren, Volinsky, ICDM
2008; regularization that grows with the likes after Zhou et al., AAIM 2008).

Its confidence is 1 + alpha * |weight|, and 1 where nothing is stored; a stored negative cell has
preference 0. With n the number of positive cells of the user, the objective it minimises, and the normal
equations a fold-in must solve, are

    A = YtY + sum over cells of alpha |weight| y yt + regularization n I
    b = sum over positive cells of (1 + alpha weight) y

MLlib draws its own start and runs all iterations in one go, so a fit has no warm start, checkpoint, early
stopping or loss. A user or item without a positive cell gets factors of zero, which is what the equations
say of it, and is not sent.

Spark runs in a process of its own (`spark_job`), as does its Java: on this machine, or on the cluster that
RECSYS_SPARK_MASTER names. Cells go and factors come back as Parquet in a temporary folder, which all of
the cluster must see, as the same user: TMPDIR says where. Both processes end, and the folder goes, with the
process that fits, however that ends.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import Factors, Run, are_finite, available_cpus, diagonalize
from recsys.engines.fold_in import FoldInTerms
from recsys.engines.iterations import Course
from recsys.errors import DataError, RecsysError, UnavailableError
from recsys.types import Float32Array, Float64Array, ProgressCallback, ProgressReport

MASTER = "RECSYS_SPARK_MASTER"
JOB = Path(__file__).with_name("spark_job.py")
MARK = "@recsys "  # begins a line of the job that is meant for us; all others are Spark's log
LINES_KEPT = 200
# Lines of a log that tell nobody anything: where in which source it was.
NOT_SAID = re.compile(r"\s*(at |\.\.\. \d+ more|File \"|raise |[\^~]+$)")
UNSOLVABLE = "SingularMatrixException"  # the one failure that is of the data
FAILURE = re.compile(r"\w(Exception|Error): \S")
SMALLEST = 1e-12  # a largest factor below it: the penalty has left nothing
# Of Java's heap on one machine: its own, bytes a cell, float32 vectors a row. With 100,000 users, 30,000
# items, 2.9 million cells and 32 factors that is 1.2 GB; a fit of those went through with 0.5 GB.
HEAP_FIXED, HEAP_A_CELL, HEAP_VECTORS = 512 * 2**20, 200, 8.0


def fit_factors(
    dataset: Dataset, config: ALSConfig, progress: ProgressCallback, course: Course | None = None
) -> Factors:
    """Factorize the signed cells. The same bits for one seed, but for the order in which Spark adds up.

    Raises:
        DataError: a start was given, a system cannot be solved, or the factors vanish or grow beyond what a
            float32 holds.
        UnavailableError: pyspark or Java is missing, the cluster does not answer, or Spark failed.
    """
    course = course or Course()
    if course.start is not None:
        raise DataError(
            "als with als.engine=spark cannot start from given factors: MLlib draws its own; leave the start "
            "out, or train by another engine."
        )
    _check_installed()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="recsys-spark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _write_cells(dataset, config, folder / "cells.parquet")
        _run_job(folder, dataset, config, progress)
        users = _read_factors(folder / "users", dataset.n_users, config.factors)
        items = _read_factors(folder / "items", dataset.n_items, config.factors)
    _check_factors(users, items, config)
    users, items = diagonalize(users, items)
    point = {"iteration": float(config.iterations), "seconds": round(time.perf_counter() - began, 3)}
    if course.measure is not None:
        point["ndcg"] = course.measure(users, items)
    return Factors(users, items, _model_of(users, items, config), Run(best=config.iterations, curve=[point]))


def confidences(weights: Float32Array, config: ALSConfig) -> Float64Array:
    """(n,) confidence of each cell, in float64."""
    return 1.0 + config.alpha * np.abs(_raised(weights, config))


def ridge(n_likes: int, config: ALSConfig, n_items: int) -> float:
    """What the equations above add to the diagonal; never nothing, for without a like b is 0 all the same."""
    return config.regularization * max(n_likes, 1)


def fold_in_terms(weights: Float32Array, config: ALSConfig, n_items: int) -> FoldInTerms:
    """The equations above for a history of (n,) signed weights."""
    shrinks = ridge(int(np.count_nonzero(weights > 0)), config, n_items)
    return FoldInTerms.of_confidences(weights, confidences(weights, config), shrinks)


def master() -> str:
    """Where Spark computes: this machine, or the cluster that the environment names."""
    return os.environ.get(MASTER) or f"local[{available_cpus()}]"


def is_local() -> bool:
    """Whether Java computes in one process on this machine, with the heap of `heap_bytes`."""
    return master() == "local" or master().startswith("local[")


def heap_bytes(n_users: int, n_items: int, n_cells: int, factors: int) -> int:
    """The heap that Java gets on one machine; its process takes some hundred MB more."""
    of_vectors = HEAP_VECTORS * 4 * factors * (n_users + n_items)
    return round(HEAP_FIXED + HEAP_A_CELL * n_cells + of_vectors)


def save_model(model: Any, path: Path) -> None:
    """Pickle a model of `implicit` around the factors, for people to explore; nothing of ours reads it."""
    path.write_bytes(pickle.dumps(model))


def _model_of(users: Float32Array, items: Float32Array, config: ALSConfig) -> Any:
    from implicit.cpu.als import AlternatingLeastSquares  # trains only; an answering service lacks it

    model = AlternatingLeastSquares(
        factors=config.factors, regularization=config.regularization, alpha=config.alpha
    )
    model.user_factors, model.item_factors = users, items
    return model


def _check_factors(users: Float32Array, items: Float32Array, config: ALSConfig) -> None:
    found = f"regularization={config.regularization} and alpha={config.alpha}"
    if not are_finite(users, items):
        raise DataError(
            f"{config.section} found no finite factors with {found}; raise {config.section}.regularization "
            "or check the largest weights."
        )
    if min(np.abs(users).max(initial=0.0), np.abs(items).max(initial=0.0)) < SMALLEST:
        raise DataError(
            f"All factors of {config.section} vanish with {found}: with als.engine=spark the penalty is "
            f"multiplied by the number of likes; lower {config.section}.regularization, to 0.3 for a start."
        )


def _raised(weights: Float32Array, config: ALSConfig) -> Float64Array:
    """(n,) weights in float64, dislikes strong enough to matter."""
    signed = weights.astype(np.float64)
    least = (config.least_dislike - 1.0) / config.alpha
    return np.where(signed < 0, np.minimum(signed, -least), signed)


def _check_installed() -> None:
    if find_spec("pyspark") is None:
        raise UnavailableError(
            "als.engine is spark but pyspark is not installed; pip install '.[spark]', or set als.engine to "
            "implicit or irspack."
        )
    if shutil.which(_java()) is None:
        raise UnavailableError(
            "als.engine is spark, which needs Java 17 or newer, and no java is on PATH or in JAVA_HOME; on "
            "Debian: apt-get install openjdk-17-jre-headless."
        )


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def _write_cells(dataset: Dataset, config: ALSConfig, path: Path) -> None:
    """Of the users and items with a positive cell; dislikes strong enough to matter."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = dataset.user_items.tocoo()
    liked = cells.data > 0
    user_likes = np.bincount(cells.row[liked], minlength=dataset.n_users)
    item_likes = np.bincount(cells.col[liked], minlength=dataset.n_items)
    kept = (user_likes[cells.row] > 0) & (item_likes[cells.col] > 0)
    weights = _raised(cells.data[kept], config).astype(np.float32)
    pq.write_table(pa.table({"user": cells.row[kept], "item": cells.col[kept], "weight": weights}), path)


def _run_job(folder: Path, dataset: Dataset, config: ALSConfig, progress: ProgressCallback) -> None:
    """Run `spark_job` and pass on how far it is; it has ended when this returns, and its Java with it.

    Raises:
        DataError: a system could not be solved.
        UnavailableError: it failed; the message ends with the last that it said.
    """
    heap = heap_bytes(dataset.n_users, dataset.n_items, dataset.user_items.nnz, config.factors)
    options = {
        "folder": str(folder),
        "master": master(),
        "heap_mb": heap // 2**20 if is_local() else None,
        "mark": MARK,
        "rank": config.factors,
        "maxIter": config.iterations,
        "regParam": config.regularization,
        "alpha": config.alpha,
        "seed": config.seed,
    }
    # -P: the folder of the job is not one of modules, for some here have names that others use.
    command = [sys.executable, "-P", str(JOB), json.dumps(options)]
    said: deque[str] = deque(maxlen=LINES_KEPT)
    # Its input is open as long as this process lives. A session of its own: a Ctrl-C is ours to pass on.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as job:
        assert job.stdout is not None  # noqa: S101 - for the type checker
        try:
            for line in job.stdout:
                if line.startswith(MARK):
                    _report(json.loads(line.removeprefix(MARK)), config, progress)
                elif line.strip() and not NOT_SAID.match(line):
                    said.append(line.strip())
        except BaseException:
            os.killpg(job.pid, signal.SIGKILL)
            job.stdout.read()  # ends when Java has, which holds it too
            raise
    if job.returncode != 0:
        raise _failure(said, job.returncode, config)


def _report(told: Mapping[str, float], config: ALSConfig, progress: ProgressCallback) -> None:
    progress(ProgressReport("fitting als", told["iteration"] / config.iterations, facts=dict(told)))


def _failure(said: deque[str], status: int, config: ALSConfig) -> RecsysError:
    """What the log of Spark says went wrong, and the mend where that is known."""
    memory = "--driver-memory" if is_local() else "--executor-memory"
    known = {
        UNSOLVABLE: f"a system cannot be solved; raise {config.section}.regularization",
        "OutOfMemoryError": f"out of memory; set PYSPARK_SUBMIT_ARGS='{memory} 8g pyspark-shell', say",
        "UnsupportedClassVersionError": "this Java is too old; install 17 or newer",
        "Could not parse Master URL": f"{MASTER} is not the address of a cluster",
        "All masters are unresponsive": f"the cluster that {MASTER} names does not answer",
        "JAVA_GATEWAY_EXITED": "Java did not start; PYSPARK_SUBMIT_ARGS, if set, must end in pyspark-shell",
    }
    found = [mark for mark in known if any(mark in line for line in said)]
    failures = (line.lstrip(": ") for line in said if FAILURE.search(line))
    reason = known[found[0]] if found else next(failures, f"it ended with status {status}")
    kind = DataError if UNSOLVABLE in found else UnavailableError
    return kind(f"Spark did not fit {config.section}: {reason}. Its log ends: {' | '.join(list(said)[-3:])}")


def _read_factors(folder: Path, n_rows: int, factors: int) -> Float32Array:
    """(n_rows, factors) from Spark's Parquet of an id and its vector; rows it has not are zero."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder).combine_chunks()
    vectors = np.zeros((n_rows, factors), np.float32)
    if table.num_rows:
        values = table["features"].combine_chunks().flatten().to_numpy()
        vectors[table["id"].to_numpy()] = values.reshape(table.num_rows, factors)
    return vectors
