"""The process of `spark_engine` in which Spark runs: `python spark_job.py OPTIONS`, a JSON object.

Reads cells.parquet in the folder, writes users and items there, and tells the iteration in lines that begin
with the mark. Spark may print what it likes beside them. Leads a process group, in which Java is too; when
its input ends, so has the process that asked, and the group and the folder go.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

TELL_EVERY_S = 0.5
# Of one fit: those before the first iteration, and those of each, one a side.
FIRST_JOBS, JOBS_AN_ITERATION = 5, 2
GROUP = "als"


def main() -> None:
    """Fit and write."""
    options = json.loads(sys.argv[1])
    threading.Thread(target=end_with_parent, args=(options["folder"],), daemon=True).start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a pandas that is newer than pyspark; none is used
        from pyspark.ml.recommendation import ALS
    session = open_session(options)
    folder = Path(options["folder"]).as_uri()
    session.sparkContext.setLogLevel("ERROR")
    # Cuts what each iteration remembers of the ones before; without it a hundred overflow Java's stack.
    session.sparkContext.setCheckpointDir(f"{folder}/checkpoints")
    als = ALS(
        implicitPrefs=True,
        userCol="user",
        itemCol="item",
        ratingCol="weight",
        **{name: options[name] for name in ("rank", "maxIter", "regParam", "alpha", "seed")},
    )
    model = fit(session, als, session.read.parquet(f"{folder}/cells.parquet"), options)
    model.userFactors.write.parquet(f"{folder}/users")
    model.itemFactors.write.parquet(f"{folder}/items")
    session.stop()


def end_with_parent(folder: str) -> None:
    """Wait until nobody holds the other end of the input, then leave nothing."""
    os.read(sys.stdin.fileno(), 1)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def open_session(options: dict[str, Any]) -> Any:
    """Spark on this machine with the memory given, or on the cluster as its own configuration says."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(options["master"]).appName("recsys als")
    builder = builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    if options["heap_mb"] is not None:
        builder = builder.config("spark.driver.memory", f"{options['heap_mb']}m")
        builder = builder.config("spark.driver.host", "127.0.0.1")
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
    return builder.getOrCreate()


def fit(session: Any, als: Any, cells: Any, options: dict[str, Any]) -> Any:
    """The fitted model; tells the iteration while it is made."""
    from pyspark import InheritableThread

    made: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        session.sparkContext.setJobGroup(GROUP, GROUP)
        try:
            made.append(als.fit(cells))
        except BaseException as error:  # told by the thread that waits
            failed.append(error)

    thread = InheritableThread(target=work, daemon=True)
    thread.start()
    told = 0
    while thread.is_alive():
        thread.join(TELL_EVERY_S)
        n_jobs = len(session.sparkContext.statusTracker().getJobIdsForGroup(GROUP))
        iteration = min(max((n_jobs - FIRST_JOBS) // JOBS_AN_ITERATION, 0), options["maxIter"])
        if iteration > told:
            told = iteration
            tell(told, options)
    if failed:
        raise failed[0]
    if told < options["maxIter"]:
        tell(options["maxIter"], options)
    return made[0]


def tell(iteration: int, options: dict[str, Any]) -> None:
    """A line for the process that asked."""
    print(options["mark"] + json.dumps({"iteration": iteration}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
