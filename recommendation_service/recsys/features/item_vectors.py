"""Vectors of items made elsewhere, read from a file, and brought into the order of a dataset.

Two forms: an `.npy` of (n, d) floats with its ids beside it (NAME.ids.json, a list of texts, or
NAME.ids.txt, an id a line), or a `.pt` of PyTorch with `embeddings` and `product_ids` or `ids`.
Neither is unpickled: `.npy` is read without pickles, `.pt` with `weights_only`.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.datasets.files import UNREADABLE_NUMPY
from recsys.datasets.id_map import IdMap
from recsys.errors import ConfigError, DataError
from recsys.types import BoolArray, Float32Array

FORMS = (".npy", ".pt")
LARGEST = 1e15  # squares of it can be summed over any length in a float32
ID_KEYS = ("product_ids", "ids")
UNREADABLE_PT = (*UNREADABLE_NUMPY, pickle.UnpicklingError, AssertionError)  # what torch.load raises


@dataclass(frozen=True)
class ItemVectors:
    """`vectors` (n, d) float32, finite, of the items named by `ids`; `source` says what made them."""

    ids: tuple[str, ...]
    vectors: Float32Array
    source: str

    @cached_property
    def version(self) -> str:
        """12 hexadecimal digits of the sha256 of ids and vectors, whatever their order."""
        order = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        digest = hashlib.sha256(json.dumps([self.ids[i] for i in order], ensure_ascii=False).encode())
        digest.update(f"{self.vectors.shape}".encode())
        digest.update(np.ascontiguousarray(self.vectors[order], dtype="<f4").tobytes())
        return digest.hexdigest()[:12]

    def aligned(self, items: IdMap) -> tuple[Float32Array, BoolArray]:
        """(n_items, d) float32 in the order of a mapping, and (n_items,) whether an item has a vector.

        A row without one is zero. Vectors of other items are left out.

        Raises:
            DataError: none of the ids is an item of the mapping.
        """
        places = items.indices(self.ids)
        known = places >= 0
        if not known.any():
            raise DataError(
                f"None of the {len(self.ids):,} ids of {self.source} is an item of the dataset: it has "
                f"{self.ids[0]!r}, the dataset {items.ids[0]!r}. Give vectors of this dataset's items."
            )
        vectors = np.zeros((len(items), self.vectors.shape[1]), np.float32)
        has_vector = np.zeros(len(items), np.bool_)
        vectors[places[known]] = self.vectors[known]
        has_vector[places[known]] = True
        return vectors, has_vector


def load_item_vectors(path: Path) -> ItemVectors:
    """Read a file of vectors.

    Raises:
        ConfigError: the name ends in neither .npy nor .pt.
        DataError: the file or its ids are missing, damaged, of another length or type, not finite or
            beyond 1e15, or an id comes twice.
    """
    if path.suffix not in FORMS:
        raise ConfigError(f"{path} is no file of vectors by its name; give {' or '.join(FORMS)}.")
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {found}; name a file of item vectors ({' or '.join(FORMS)}).")
    if path.suffix == ".npy":
        vectors, ids_file = _read_npy(path), _find_ids(path)
        ids = _read_ids(ids_file)
    else:
        vectors, ids = _read_pt(path)
        ids_file = path
    return ItemVectors(_check_ids(ids_file, ids, len(vectors)), vectors, path.name)


def _read_npy(path: Path) -> Float32Array:
    try:
        with path.open("rb") as file:
            vectors = np.lib.format.read_array(file, allow_pickle=False)
    except UNREADABLE_NUMPY as error:
        raise DataError(f"{path} is not a plain NumPy array ({error}); save it with numpy.save.") from error
    return _check_vectors(path, vectors)


def _find_ids(path: Path) -> Path:
    candidates = [path.with_suffix(suffix) for suffix in (".ids.json", ".ids.txt")]
    found = next((one for one in candidates if one.is_file()), None)
    if found is None:
        raise DataError(
            f"{path} has no ids beside it; write {candidates[0].name} (a list of ids) or "
            f"{candidates[1].name} (an id a line), in the order of the rows."
        )
    return found


def _read_ids(path: Path) -> Sequence[object]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".txt":
            return text.splitlines()
        ids = json.loads(text)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); write a list of ids.") from error
    if not isinstance(ids, list):
        raise DataError(f"{path} holds {type(ids).__name__}, not a list; write a list of ids.")
    return ids


def _read_pt(path: Path) -> tuple[Float32Array, Sequence[object]]:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's protocol, and how to read it unsafely
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE_PT as error:
        # Torch's own words on a pickle are how to run it all the same.
        is_pickle = isinstance(error, pickle.UnpicklingError)
        told = "damaged, or holds objects" if is_pickle else _first_line(error)
        raise DataError(
            f"{path} cannot be read without running code in it ({told}); save a dictionary of a tensor "
            "and a list of texts with torch.save."
        ) from error
    ids_key = next((key for key in ID_KEYS if isinstance(content, Mapping) and key in content), None)
    if ids_key is None or "embeddings" not in content:
        keys = sorted(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise DataError(
            f"{path} holds {keys}; it must hold 'embeddings' and {' or '.join(map(repr, ID_KEYS))}."
        )
    vectors, ids = _as_array(path, "embeddings", content["embeddings"]), content[ids_key]
    if isinstance(ids, torch.Tensor):
        ids = _as_array(path, ids_key, ids).tolist()
    if not isinstance(ids, list | tuple):
        raise DataError(f"{path} holds {ids_key} as {type(ids).__name__}; it must be a list of ids.")
    return _check_vectors(path, vectors), ids


def _as_array(path: Path, key: str, value: object) -> NDArray[Any]:
    """A dense tensor, or numbers in lists."""
    import torch

    try:
        if not isinstance(value, torch.Tensor):
            return np.asarray(value)
        plain = value.detach()
        return np.asarray((plain.float() if plain.is_floating_point() else plain).numpy())
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{path} holds {key} that are no plain table ({_first_line(error)}); save a dense tensor."
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _check_vectors(path: Path, vectors: NDArray[Any]) -> Float32Array:
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise DataError(f"{path} has shape {vectors.shape}; it must have a row an item, (n, d).")
    if vectors.dtype.kind != "f":
        raise DataError(f"{path} holds {vectors.dtype}; save floating-point numbers, such as float32.")
    with np.errstate(over="ignore"):  # what a float32 cannot hold becomes infinite, and is told
        single = np.ascontiguousarray(vectors, dtype=np.float32)
    is_finite = np.isfinite(single).all(axis=1)
    if not is_finite.all():
        row = int(np.flatnonzero(~is_finite)[0])
        raise DataError(f"{path} holds a value that is not finite, in row {row}; make that vector again.")
    if (largest := float(np.abs(single).max())) > LARGEST:
        raise DataError(
            f"{path} holds {largest:.3g}; no value may be beyond {LARGEST:g}, for lengths are reckoned in "
            "single precision. Divide all vectors by the same number."
        )
    return single


def _check_ids(path: Path, ids: Sequence[object], n_rows: int) -> tuple[str, ...]:
    if len(ids) != n_rows:
        raise DataError(f"{path} names {len(ids):,} ids for {n_rows:,} vectors; there must be one a vector.")
    if not all(isinstance(one, str) or type(one) is int for one in ids):
        wrong = next(one for one in ids if not isinstance(one, str) and type(one) is not int)
        raise DataError(f"{path} holds the id {wrong!r}; ids must be texts or whole numbers.")
    texts = [str(one) for one in ids]
    seen: set[str] = set()
    for one in texts:
        if one in seen:
            raise DataError(f"{path} names the id {one!r} twice; leave one of its vectors.")
        seen.add(one)
    return tuple(texts)
