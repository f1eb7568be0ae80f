"""From the files people have to a rating folder: read, clean, choose what is kept, write."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recsys.datasets.id_map import IdMap
from recsys.datasets.importers.amazon import SCALE as AMAZON_SCALE
from recsys.datasets.importers.amazon import AmazonFile, find_categories
from recsys.datasets.importers.reading import (
    ReadOptions,
    count_rows,
    read_catalogue,
    read_ratings,
    scale_of,
)
from recsys.datasets.importers.user_tables import read_users
from recsys.datasets.rating_limits import RatingLimits, choose_rows, clean, count_repeats, rows_of
from recsys.datasets.ratings import (
    ITEM_MAPPING_FILE,
    PARTS,
    RATINGS_FILE,
    USER_MAPPING_FILE,
    RatingBatch,
    save_ratings,
)
from recsys.errors import DataError
from recsys.progress import StagedProgress, ignore_progress
from recsys.types import BoolArray, Int32Array, ProgressCallback

AMAZON = "amazon"
ROWS_AT_ONCE = 65_536


def import_ratings(
    path: Path,
    file_format: str,
    output: Path,
    options: ReadOptions,
    limits: RatingLimits,
    *,
    progress: ProgressCallback = ignore_progress,
) -> dict[str, Any]:
    """Write one rating folder; returns its counts, and how many ratings were changed or left out.

    Raises:
        DataError: the source is missing, damaged or empty, or the limits leave nothing of it. What lay
            in the folder is untouched.
    """
    batches = read_ratings(path, file_format, options)
    return _write(
        _told(batches, count_rows(path, file_format), "importing", progress),
        output,
        limits if limits.scale else replace(limits, scale=scale_of(path, file_format)),
        source={"format": file_format},
        catalogue=read_catalogue(path, file_format),
        users=read_users(path, file_format),
    )


def import_categories(
    path: Path,
    output: Path,
    options: ReadOptions,
    limits: RatingLimits,
    *,
    progress: ProgressCallback = ignore_progress,
) -> Iterator[tuple[str, dict[str, Any] | DataError]]:
    """A folder a category below `output`; yields its counts, or why there is none, and goes on.

    Raises:
        DataError: there is no category at all, or its files do not fit each other.
    """
    limits = limits if limits.scale else replace(limits, scale=AMAZON_SCALE)
    for category, files in find_categories(path).items():
        source = {"format": AMAZON, "category": category}
        try:
            n_rows = sum(count_rows(file.path, file.file_format) for file in files)
            batches = _told(_read(files, options), n_rows, f"importing {category}", progress)
            counts = _write(batches, output / category, limits, source=source)
        except DataError as error:
            yield category, error
        else:
            yield category, counts


def _read(files: Iterable[AmazonFile], options: ReadOptions) -> Iterator[RatingBatch]:
    for file in files:
        for batch in read_ratings(file.path, file.file_format, options):
            if file.part is None:
                yield batch
            else:
                part = np.full(len(batch.ratings), PARTS.index(file.part), np.uint8)
                yield replace(batch, parts=part)


def _told(
    batches: Iterable[RatingBatch], n_rows: int, stage: str, progress: ProgressCallback
) -> Iterator[RatingBatch]:
    """The same batches; `progress` hears how far the reading is."""
    stages, done = StagedProgress(progress, {stage: 1.0}), 0
    for batch in batches:
        yield batch
        done += len(batch.ratings)
        stages.update(stage, done / max(n_rows, 1))


def _write(
    batches: Iterable[RatingBatch], output: Path, limits: RatingLimits, *, source: dict[str, Any], **more: Any
) -> dict[str, Any]:
    was_there = output.exists()
    try:
        return _write_folder(batches, output, limits, source=source, **more)
    except BaseException:
        if not was_there and output.is_dir() and not any(output.iterdir()):
            output.rmdir()  # left empty it would pass for a category
        raise


def _write_folder(
    batches: Iterable[RatingBatch], output: Path, limits: RatingLimits, *, source: dict[str, Any], **more: Any
) -> dict[str, Any]:
    changed: Counter[str] = Counter()  # still counted while `save_ratings` reads
    rows = clean(batches, limits, changed)
    source = {**source, "scale": limits.scale, "changed": changed}
    if not limits.need_all_rows:
        manifest = save_ratings(rows, output, source=source, **more)
    else:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".importing-", dir=output) as folder:
            save_ratings(rows, Path(folder))
            keep = choose_rows(*_pairs(Path(folder)), limits)
            changed["left_out"] = int((~keep).sum())
            manifest = save_ratings(_kept(Path(folder), keep), output, source=source, **more)
    repeated = count_repeats(*_pairs(output))
    told = {name: count for name, count in {**changed, "repeated_pairs": repeated}.items() if count}
    return {**manifest["counts"], **told}


def _pairs(folder: Path) -> tuple[Int32Array, Int32Array]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / RATINGS_FILE, columns=["user_index", "item_index"])
    return table["user_index"].to_numpy(), table["item_index"].to_numpy()


def _kept(folder: Path, keep: BoolArray) -> Iterator[RatingBatch]:
    """The rows of a rating folder where `keep` (n_ratings,) is true, in their order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = [pa.array(IdMap.load(folder / name).ids) for name in (USER_MAPPING_FILE, ITEM_MAPPING_FILE)]
    done = 0
    with pq.ParquetFile(folder / RATINGS_FILE) as file:
        for rows in file.iter_batches(ROWS_AT_ONCE):
            mask = keep[done : done + len(rows)]
            done += len(rows)
            names = rows.schema.names

            def column(name: str, rows: pa.RecordBatch = rows, names: list[str] = names) -> Any:
                return rows.column(name).to_numpy(zero_copy_only=False) if name in names else None

            yield rows_of(
                RatingBatch(
                    ids[0].take(rows.column("user_index")),
                    ids[1].take(rows.column("item_index")),
                    column("rating"),
                    column("rated_at"),
                    rows.column("text") if "text" in names else None,
                    column("part"),
                ),
                mask,
            )
