"""Readers of the files people have: MovieLens, CSV, Parquet and JSON lines of ratings or acts."""

from recsys.datasets.importers.rating_types import DEFAULT_RATING_TYPES, RatingTypes
from recsys.datasets.importers.reading import (
    FORMATS,
    EventBatch,
    ReadOptions,
    count_rows,
    parse_columns,
    read_catalogue,
    read_events,
    read_ratings,
    scale_of,
)

__all__ = [
    "DEFAULT_RATING_TYPES",
    "FORMATS",
    "EventBatch",
    "RatingTypes",
    "ReadOptions",
    "count_rows",
    "parse_columns",
    "read_catalogue",
    "read_events",
    "read_ratings",
    "scale_of",
]
