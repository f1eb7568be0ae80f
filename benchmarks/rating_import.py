"""What importing tens of millions of ratings costs, and training svd on them.

python benchmarks/rating_import.py                      (25 million rows of CSV, 2 of JSON, 5 of Parquet)
python benchmarks/rating_import.py --svd                (and `recsys train svd` on the rows of CSV)
python benchmarks/rating_import.py --k-core 100         (and the rows of CSV once more, cut to that core)
python benchmarks/rating_import.py --rows 1000000 --json-rows 0 --parquet-rows 0

Made-up ratings are written into a temporary folder (or --scratch) as MovieLens 25M comes (`ratings.csv`
by user: userId,movieId,rating,timestamp), as JSON lines and as train, valid and test files of Parquet, as
the Amazon reviews do, and imported by `recsys import`, a process each. Beside it stands what merely
reading the file costs: pyarrow's CSV and Parquet readers, `json.loads` of every line. For the 25 million
rows the limit is 60 seconds and 4 GB, with a core too. Takes 2 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from machine import describe_machine

from recsys.types import Float64Array, Int64Array

SERVICE_ROOT = Path(__file__).resolve().parents[1] / "recommendation_service"
N_USERS, N_ITEMS = 162_000, 59_000  # of MovieLens 25M
ROWS_OF_THE_LIMIT, LIMIT_SECONDS, LIMIT_MB = 25_000_000, 60.0, 4_000.0
SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
ROWS_AT_ONCE = 1_000_000
TEXT = "Bought it for the kitchen, it does what it says; the lid is a little loose but it has held so far. "
READERS = {
    "csv": "import sys, pyarrow.csv as c; r = c.ReadOptions(use_threads=False);"
    "print(sum(len(b) for b in c.open_csv(sys.argv[1], read_options=r)))",
    "jsonl": "import sys, json; print(sum('rating' in json.loads(line) for line in open(sys.argv[1])))",
    "parquet": "import sys, pyarrow.parquet as p;"
    "print(sum(len(b) for n in sys.argv[1:] for b in p.ParquetFile(n).iter_batches(use_threads=False)))",
}


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    said: str


def main() -> int:
    """Make, import and read each kind; 1 when the limit is not held."""
    options = _parse_options()
    kinds = {"csv": options.rows, "jsonl": options.json_rows, "parquet": options.parquet_rows}
    within = True
    with tempfile.TemporaryDirectory(prefix="rating-import-", dir=options.scratch) as name:
        folder = Path(name)
        for kind, n_rows in kinds.items():
            if n_rows:
                within &= _measure_import(kind, n_rows, folder, options.seed)
        if options.k_core:
            within &= _measure_core(options.k_core, options.rows, folder)
        if options.svd:
            _measure_svd(folder)
    print(describe_machine("numpy", "pyarrow", "scipy"))
    return 0 if within else 1


def _measure_import(kind: str, n_rows: int, folder: Path, seed: int) -> bool:
    """Import n_rows of one kind, print the cost beside the reader's; whether the limit is held."""
    source = folder / kind
    source.mkdir()
    writing = get_context("spawn").Process(target=_write, args=(kind, n_rows, source, seed))
    writing.start()  # apart: a process starts with the peak of the one that starts it
    writing.join()
    if writing.exitcode:
        raise SystemExit(f"the {kind} files were not written")
    files = sorted(source.iterdir())
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    cost = _import(kind, source, folder / f"{kind}-imported")
    peer = _run([sys.executable, "-c", READERS[kind], *map(str, files)])
    print(
        f"{kind}: {n_rows:,} rows, {size_mb:,.0f} MB\n"
        f"  recsys import {_describe(cost, n_rows)}\n"
        f"  reading alone {peer.wall_s:.1f} s ({peer.cpu_s:.1f} CPU seconds), peak {peer.peak_mb:,.0f} MB; "
        f"ratio {cost.cpu_s / peer.cpu_s:.1f} by CPU seconds",
        flush=True,
    )
    return kind != "csv" or _is_within(cost, n_rows)


def _measure_core(k: int, n_rows: int, folder: Path) -> bool:
    """Import the rows of CSV cut to a k-core and print the cost; whether the limit is held."""
    cost = _import("csv", folder / "csv", folder / "csv-core", "--k-core", str(k))
    print(f"csv, --k-core {k}: {n_rows:,} rows\n  recsys import {_describe(cost, n_rows)}", flush=True)
    return _is_within(cost, n_rows)


def _import(kind: str, source: Path, output: Path, *flags: str) -> Cost:
    file_format = "movielens" if kind == "csv" else "amazon"
    command = ["import", str(source), "--format", file_format, "--output", str(output), *flags]
    return _run([sys.executable, "-m", "recsys.cli", *command])


def _describe(cost: Cost, n_rows: int) -> str:
    return (
        f"{cost.wall_s:.1f} s ({cost.cpu_s:.1f} CPU seconds), {n_rows / cost.wall_s:,.0f} rows a second, "
        f"peak {cost.peak_mb:,.0f} MB: {cost.said}"
    )


def _is_within(cost: Cost, n_rows: int) -> bool:
    """Whether the limit is held, and said to be; fewer rows have none."""
    if n_rows < ROWS_OF_THE_LIMIT:
        return True
    held = cost.wall_s <= LIMIT_SECONDS and cost.peak_mb <= LIMIT_MB
    print(
        f"  limit {LIMIT_SECONDS:.0f} s and {LIMIT_MB:,.0f} MB: {'held' if held else 'NOT held'}", flush=True
    )
    return held


def _measure_svd(folder: Path) -> None:
    data = folder / "csv-imported"
    command = ["train", "svd", "--data", str(data), "--output", str(folder / "models")]
    cost = _run([sys.executable, "-m", "recsys.cli", *command])
    manifest = json.loads((folder / "models" / data.name / "manifest.json").read_text(encoding="utf-8"))
    learned = manifest["split"]["train"]["ratings"] + manifest["split"]["validation"]["ratings"]
    print(
        f"recsys train svd: {cost.wall_s:.1f} s ({cost.cpu_s:.1f} CPU seconds), peak {cost.peak_mb:,.0f} MB; "
        f"{learned:,} ratings, {manifest['recipe']['factors']} factors: fit {manifest['fit_seconds']:.1f} s, "
        f"evaluation {manifest['evaluate_seconds']:.1f} s"
    )


def _run(command: Sequence[str]) -> Cost:
    """One process to its end; raises when it fails."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=SERVICE_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None  # noqa: S101
    said = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}: {said}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def _write(kind: str, n_rows: int, folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if kind == "csv":
        with pa_csv.CSVWriter(folder / "ratings.csv", pa.table(next(_rows(1, rng))).schema) as writer:
            for columns in _rows(n_rows, rng):
                writer.write_table(pa.table(columns))
    elif kind == "jsonl":
        with (folder / "Kitchen.jsonl").open("w", encoding="utf-8") as file:
            for columns in _rows(n_rows, rng):
                file.writelines(_lines(columns))
    else:
        for part, share in SHARES.items():
            tables = [_as_amazon(columns) for columns in _rows(int(n_rows * share), rng)]
            pq.write_table(pa.concat_tables(tables), folder / f"Books.{part}.parquet")


def _rows(n_rows: int, rng: np.random.Generator) -> Iterator[dict[str, Int64Array | Float64Array]]:
    """Columns of MovieLens, by user, each pair once: activity and popularity fall like a power."""
    drawn = int(n_rows * 1.25) + 100
    users = (N_USERS * rng.random(drawn) ** 1.5).astype(np.int64)
    keys = np.unique(users * N_ITEMS + (N_ITEMS * rng.random(drawn) ** 3).astype(np.int64))
    if len(keys) > n_rows:
        keys = np.sort(rng.choice(keys, n_rows, replace=False, shuffle=False))
    for start in range(0, len(keys), ROWS_AT_ONCE):
        users, items = np.divmod(keys[start : start + ROWS_AT_ONCE], N_ITEMS)
        noise = rng.normal(3.5 + np.sin(users) / 2 + np.cos(items) / 2, 0.9)
        yield {
            "userId": users + 1,
            "movieId": items * 3 + 1,
            "rating": np.clip(np.round(noise * 2) / 2, 0.5, 5.0),
            "timestamp": rng.integers(800_000_000, 1_600_000_000, len(users)),
        }


def _as_amazon(columns: dict[str, Int64Array | Float64Array]) -> pa.Table:
    return pa.table(
        {
            "user_id": [f"AE{user:026d}" for user in columns["userId"].tolist()],
            "parent_asin": [f"B{item:09d}" for item in columns["movieId"].tolist()],
            "rating": np.ceil(columns["rating"]),
            "timestamp": columns["timestamp"] * 1000,
        }
    )


def _lines(columns: dict[str, Int64Array | Float64Array]) -> Iterator[str]:
    for row in _as_amazon(columns).to_pylist():
        yield (
            json.dumps({**row, "text": TEXT[: row["timestamp"] // 1000 % len(TEXT)], "verified": True}) + "\n"
        )


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS_OF_THE_LIMIT, help="of CSV (default: %(default)s)")
    parser.add_argument("--json-rows", type=int, default=2_000_000, help="0: none (default: %(default)s)")
    parser.add_argument("--parquet-rows", type=int, default=5_000_000, help="0: none (default: %(default)s)")
    parser.add_argument("--k-core", type=int, metavar="K", help="import the CSV rows cut to a K-core too")
    parser.add_argument("--svd", action="store_true", help="train svd on the CSV rows too")
    parser.add_argument(
        "--scratch", type=Path, metavar="FOLDER", help="where to write (default: the system's)"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if (options.svd or options.k_core) and not options.rows:
        parser.error("--svd and --k-core need --rows")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
