"""The Amazon reviews (Hou et al., 2024), 5-core: a category a file, or a train, a valid and a test file each.

Known names: Category.jsonl, .jsonl.gz, .parquet, .csv, .csv.gz; with .train, .valid or .test before the
ending where the set is split already; further words of a name (.5core, .small) tell variants apart. Files
called train, valid and test alone are the category their folder is named after. The set's descriptions of
products (meta_Category.jsonl) hold no ratings and are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recsys.datasets.importers.tables import check_file
from recsys.datasets.ratings import PARTS
from recsys.errors import DataError

SCALE = (1.0, 5.0)
FORMAT_OF_ENDING = {".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet", ".csv": "csv"}


@dataclass(frozen=True, slots=True)
class AmazonFile:
    """One file: its category, which part of it (of PARTS, None for all), its format."""

    path: Path
    category: str
    part: str | None
    file_format: str


def find_categories(path: Path) -> Mapping[str, tuple[AmazonFile, ...]]:
    """Category -> its files, train first, of a folder or of the file that is named.

    Raises:
        DataError: there is no such file, one category comes in two files of the same part, or in parts
            of which train is missing.
    """
    if not path.is_dir():
        check_file(path)
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in map(_describe, candidates) if file is not None]
    if not files:
        raise DataError(
            f"{path.absolute()} holds no .jsonl, .jsonl.gz, .parquet or .csv file; name a folder with a "
            "category a file."
        )
    categories: dict[str, dict[str | None, AmazonFile]] = {}
    for file in files:
        other = categories.setdefault(file.category, {}).setdefault(file.part, file)
        if other is not file:
            raise DataError(
                f"{other.path.name} and {file.path.name} are both {file.part or 'the whole'} of "
                f"{file.category}; leave one of them in {path}."
            )
    return {name: _in_order(name, parts) for name, parts in categories.items()}


def _describe(path: Path) -> AmazonFile | None:
    name = path.name.removesuffix(".gz")
    ending = Path(name).suffix
    if not path.is_file() or ending not in FORMAT_OF_ENDING or name.startswith((".", "meta_")):
        return None
    words = name.removesuffix(ending).split(".")
    if words[0] in PARTS:  # train.parquet: the category is the folder's name
        words = [path.absolute().parent.name, *words]
    part = next((word for word in words[1:] if word in PARTS), None)
    category = ".".join(word for word in words if word != part)
    return AmazonFile(path, category, part, FORMAT_OF_ENDING[ending])


def _in_order(category: str, parts: Mapping[str | None, AmazonFile]) -> tuple[AmazonFile, ...]:
    if None in parts and len(parts) > 1:
        whole = parts[None].path.name
        raise DataError(f"{category} comes whole ({whole}) and in parts; leave one of the two.")
    if None not in parts and PARTS[0] not in parts:
        found = ", ".join(file.path.name for file in parts.values())
        raise DataError(f"{category} has no .train file beside {found}; add it.")
    return tuple(parts[part] for part in (None, *PARTS) if part in parts)
