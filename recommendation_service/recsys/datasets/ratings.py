"""A rating dataset: who rated what with how many points, when, and in which words.

Importers hand ratings over in batches; `save_ratings` writes them to a folder one batch at a time,
so only the ids are held in memory. `load_ratings` reads the folder back as columns: the `ratings`
view of the recommenders that learn from points rather than from acts. The texts are not among them:
what is asked of them is a number each, found a batch at a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.datasets.catalogue import Catalogue
from recsys.datasets.comment_quality import comment_qualities
from recsys.datasets.files import Staging, check_descriptions, check_files, describe_files
from recsys.datasets.id_map import IdMap
from recsys.datasets.rating_tables import save_table
from recsys.errors import DataError
from recsys.types import Float32Array, Float64Array, Int32Array, UInt8Array

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
RATINGS_FILE = "ratings.parquet"
USER_MAPPING_FILE = "user_mapping.json"
ITEM_MAPPING_FILE = "item_mapping.json"
CATALOGUE_FILE = "catalogue.parquet"
USERS_FILE = "users.parquet"
ITEMS_FILE = "items.parquet"  # never written by an import: columns a person has of the items
MANIFEST_FILE = "manifest.json"
PARTS = ("train", "valid", "test")  # of a source that is split already
NO_CATALOGUE = (
    f"only an import writes this file, so import the ratings again; a table of your own (id and any columns) "
    f"is called {ITEMS_FILE}: rename it"
)
TEXTS_AT_ONCE = 16_384  # a long review has some 5 KB: 80 MB


@dataclass(frozen=True, slots=True)
class RatingBatch:
    """Some ratings as columns of one length, in the order of their source.

    `ratings` are finite points on the source's own scale; `rated_at` UTC seconds; `texts` what the
    user wrote, "" for nothing; `parts` uint8 positions in PARTS. Either every batch of a source carries
    an optional column or none. A column may be anything pyarrow makes an array of; some 100,000 rows a
    batch are read fastest.
    """

    user_ids: Sequence[str]
    item_ids: Sequence[str]
    ratings: Sequence[float] | Float32Array
    rated_at: Sequence[float] | Float64Array | None = None
    texts: Sequence[str] | None = None
    parts: UInt8Array | None = None


@dataclass(frozen=True, slots=True)
class Ratings:
    """One row a (user, item) pair, sorted by user, then item; all (n_ratings,).

    `user_index` and `item_index` int32, `points` float32, `rated_at` float64 UTC seconds or None;
    `text_quality` float32 from 0 to 1 (see `comment_quality`), or None when it was not asked for or the
    source has no texts; `parts` uint8 positions in PARTS, or None when the source is not split.
    """

    user_index: Int32Array
    item_index: Int32Array
    points: Float32Array
    rated_at: Float64Array | None
    text_quality: Float32Array | None = None
    parts: UInt8Array | None = None

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, slots=True)
class RatingDataset:
    """The `ratings` view of a folder with its mappings, the items' texts and the manifest.

    `n_repeated` ratings gave way to a later one of the same pair. Tables of features beside the ratings
    are read by who learns from them (`rating_tables`).
    """

    ratings: Ratings
    user_mapping: IdMap
    item_mapping: IdMap
    catalogue: Catalogue | None
    manifest: Mapping[str, Any]
    n_repeated: int = 0

    @property
    def points_range(self) -> tuple[float, float]:
        """The lowest and the highest points there can be.

        The scale the import wrote down, down to a zero that was kept; what was found where it knew none.
        """
        found, scale = self.manifest["rating_range"], self.manifest.get("scale")
        ends = [*found, *(scale or ())]
        return float(min(ends)), float(max(ends))


def save_ratings(
    batches: Iterable[RatingBatch],
    folder: Path,
    *,
    source: Mapping[str, Any] | None = None,
    catalogue: Catalogue | None = None,
    users: pa.Table | None = None,
) -> dict[str, Any]:
    """Write a rating folder: every file aside, then renamed into place, the manifest last.

    Users and items are numbered in the order they first come. A pair rated twice is kept twice:
    the folder is a record of what the source says; `load_ratings` takes the latest.

    Args:
        batches: read once, one at a time.
        source: facts for the manifest (where the ratings came from, with which options); read after the
            batches.
        catalogue: names, texts and tags of the items, where the source has them.
        users: what the source tells of people: a column `id`, and any others.

    Returns:
        The manifest: counts, density, the range of the ratings, each file's bytes and sha256.

    Raises:
        DataError: there are no ratings ("No ratings found"), an id is missing, empty or too long,
            or a rating or a time is not a finite number. What lay in the folder is untouched.
    """
    with Staging(folder) as staging:
        totals = _write_batches(batches, staging.path(RATINGS_FILE))
        user_mapping, item_mapping = IdMap(totals.users.index_of), IdMap(totals.items.index_of)
        user_mapping.save(staging.path(USER_MAPPING_FILE))
        item_mapping.save(staging.path(ITEM_MAPPING_FILE))
        if catalogue is not None:
            catalogue.save(staging.path(CATALOGUE_FILE))
        if users is not None:
            save_table(users, staging.path(USERS_FILE))
        manifest = {
            **(source or {}),
            "schema_version": SCHEMA_VERSION,
            "counts": {
                "users": len(user_mapping),
                "items": len(item_mapping),
                "ratings": totals.n_ratings,
            },
            "density": totals.n_ratings / (len(user_mapping) * len(item_mapping)),
            "rating_range": [totals.lowest, totals.highest],
            "files": describe_files(staging.folder),
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        staging.path(MANIFEST_FILE).write_text(text, encoding="utf-8")
        staging.move_into_place(last=MANIFEST_FILE, optional=_described_before(folder))
    return manifest


def load_ratings(folder: Path, *, with_quality: bool = False) -> RatingDataset:
    """Read a rating folder; a pair rated more than once keeps its latest rating.

    Holds 12 bytes a rating (20 with times) and takes some 65 while it sorts them. With `with_quality`
    every text is read too, a bounded number at a time, and becomes one number.

    Raises:
        DataError: a file is missing, is not what the manifest says, or does not fit the mappings.
    """
    manifest = _load_manifest(folder / MANIFEST_FILE)
    check_files(folder, manifest["files"])
    user_mapping = IdMap.load(folder / USER_MAPPING_FILE)
    item_mapping = IdMap.load(folder / ITEM_MAPPING_FILE)
    ratings = _read_ratings(folder / RATINGS_FILE, with_quality=with_quality)
    for index, mapping in ((ratings.user_index, user_mapping), (ratings.item_index, item_mapping)):
        if index.min(initial=0) < 0 or index.max(initial=-1) >= len(mapping):
            raise DataError(f"{folder / RATINGS_FILE} does not fit its mappings; import the ratings again.")
    catalogue_file = folder / CATALOGUE_FILE
    catalogue = Catalogue.load(catalogue_file, mend=NO_CATALOGUE) if catalogue_file.exists() else None
    latest = _latest_of_each_pair(ratings)
    n_repeated = len(ratings) - len(latest)
    return RatingDataset(latest, user_mapping, item_mapping, catalogue, manifest, n_repeated)


def _described_before(folder: Path) -> list[str]:
    """The catalogue and the users an earlier import wrote; a table that a person laid there is theirs."""
    try:
        files = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))["files"]
        return [name for name in (CATALOGUE_FILE, USERS_FILE) if name in files]
    except (OSError, ValueError, KeyError, TypeError):
        return []


class _IdNumbering:
    """Ids in the order they first come, each with its number."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.index_of: dict[str, int] = {}

    def number(self, ids: pa.Array) -> Int32Array:
        """(n,) int32 numbers of a string array, new ids numbered on from the last."""
        if ids.null_count:
            raise DataError(f"{ids.null_count:,} ratings have no {self.kind} id; correct the source.")
        encoded = ids.dictionary_encode()
        numbers = (self.index_of.setdefault(i, len(self.index_of)) for i in encoded.dictionary.to_pylist())
        lookup = np.fromiter(numbers, np.int32, len(encoded.dictionary))
        positions: Int32Array = encoded.indices.to_numpy(zero_copy_only=False)
        return lookup[positions]


class _Totals:
    """What the manifest will say, gathered while the batches go by."""

    def __init__(self) -> None:
        self.users = _IdNumbering("user")
        self.items = _IdNumbering("item")
        self.n_ratings = 0
        self.lowest = np.inf
        self.highest = -np.inf

    def add(self, batch: RatingBatch) -> pa.RecordBatch:
        """Number the ids of a batch, check its values, and give the rows to write."""
        import pyarrow as pa

        points = np.asarray(batch.ratings, dtype=np.float32)
        columns: dict[str, Any] = {
            "user_index": self.users.number(pa.array(batch.user_ids, pa.string())),
            "item_index": self.items.number(pa.array(batch.item_ids, pa.string())),
            "rating": points,
        }
        self._check_finite("rating", points)
        if batch.rated_at is not None:
            columns["rated_at"] = np.asarray(batch.rated_at, dtype=np.float64)
            self._check_finite("time", columns["rated_at"])
        if batch.texts is not None:
            columns["text"] = pa.array(batch.texts, pa.string())
        if batch.parts is not None:
            columns["part"] = np.asarray(batch.parts, dtype=np.uint8)
        self.n_ratings += len(points)
        self.lowest = min(self.lowest, float(points.min(initial=np.inf)))
        self.highest = max(self.highest, float(points.max(initial=-np.inf)))
        return pa.RecordBatch.from_pydict(columns)

    def _check_finite(self, what: str, values: Float32Array | Float64Array) -> None:
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            number = self.n_ratings + int(bad[0]) + 1
            raise DataError(
                f"Rating number {number:,} has the {what} {values[bad[0]]}; it must be a finite number: "
                "correct or remove it in the source."
            )


def _write_batches(batches: Iterable[RatingBatch], path: Path) -> _Totals:
    import pyarrow.parquet as pq

    totals = _Totals()
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for batch in batches:
            rows = totals.add(batch)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(path, rows.schema))
            differing = sorted(set(writer.schema.names) ^ set(rows.schema.names))
            if differing:
                raise DataError(
                    f"Some batches of the source have {', '.join(differing)} and others have not; give all "
                    "its files the same columns."
                )
            writer.write_batch(rows)
    if totals.n_ratings == 0:
        raise DataError("No ratings found: the source is empty, or its filter left nothing.")
    return totals


def _load_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; make the folder with `recsys import`.") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); import the ratings again.") from error
    if not isinstance(manifest, dict) or manifest.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{path} is not of schema version {SCHEMA_VERSION}; import the ratings again.")
    if not isinstance(manifest.get("files"), dict):
        raise DataError(f"{path} lists no files; import the ratings again.")
    check_descriptions(path, manifest["files"])
    for name, found in (("rating_range", manifest.get("rating_range")), ("scale", manifest.get("scale"))):
        if not (_are_ends(found) or (found is None and name == "scale")):
            raise DataError(
                f"{path} says {name}: {found!r:.80}, not the lowest and the highest points; import "
                "the ratings again."
            )
    return manifest


def _are_ends(value: object) -> bool:
    """Whether a manifest's value is [lowest, highest]."""
    if not isinstance(value, list) or len(value) != 2:
        return False
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in value):
        return False
    return bool(value[0] <= value[1])


def _read_ratings(path: Path, *, with_quality: bool) -> Ratings:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = set(pq.read_schema(path).names)
        wanted = [
            name for name in ("user_index", "item_index", "rating", "rated_at", "part") if name in names
        ]
        table = pq.read_table(path, columns=wanted)
        return Ratings(
            table["user_index"].to_numpy(),
            table["item_index"].to_numpy(),
            table["rating"].to_numpy(),
            table["rated_at"].to_numpy() if "rated_at" in names else None,
            _read_text_quality(path, table.num_rows) if with_quality and "text" in names else None,
            table["part"].to_numpy() if "part" in names else None,
        )
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{path} is not a rating file ({error}); import the ratings again.") from error


def _read_text_quality(path: Path, n_ratings: int) -> Float32Array:
    """(n_ratings,) the quality of each text, in the order of the file."""
    import pyarrow.parquet as pq

    quality = np.empty(n_ratings, np.float32)
    done = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(TEXTS_AT_ONCE, columns=["text"]):
            quality[done : done + len(batch)] = comment_qualities(batch.column("text").to_pylist())
            done += len(batch)
    return quality


def _latest_of_each_pair(ratings: Ratings) -> Ratings:
    """Sort by pair and keep each pair's last row by time, then by position."""
    times, quality, parts = ratings.rated_at, ratings.text_quality, ratings.parts
    keys = (ratings.item_index, ratings.user_index)
    order = np.lexsort(keys if times is None else (times, *keys))  # stable: ties stay in file order
    users, items = ratings.user_index[order], ratings.item_index[order]
    is_last = np.ones(len(order), dtype=np.bool_)
    is_last[:-1] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    kept = order[is_last]
    return Ratings(
        users[is_last],
        items[is_last],
        ratings.points[kept],
        None if times is None else times[kept],
        None if quality is None else quality[kept],
        None if parts is None else parts[kept],
    )
