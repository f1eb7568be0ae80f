"""A text model as files of a release: one of JSON with the terms, and three arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from recsys.errors import ArtifactError
from recsys.features.text import TextModel
from recsys.recommenders.base import load_array


def save_text_model(model: TextModel, folder: Path, prefix: str) -> None:
    """Write <prefix>_text.json, <prefix>_idf.npy, <prefix>_components.npy and <prefix>_completion.npy."""
    facts = {"tag_weight": model.tag_weight, "terms": list(model.vocabulary)}
    (folder / f"{prefix}_text.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    np.save(folder / f"{prefix}_idf.npy", model.idf)
    np.save(folder / f"{prefix}_components.npy", model.components)
    np.save(folder / f"{prefix}_completion.npy", model.completion)


def load_text_model(folder: Path, prefix: str) -> TextModel:
    """Read what `save_text_model` wrote, the arrays memory-mapped.

    Raises:
        ArtifactError: a file is missing or damaged, or they are not of as many terms.
    """
    path = folder / f"{prefix}_text.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        vocabulary = {str(term): column for column, term in enumerate(facts["terms"])}
        tag_weight = float(facts["tag_weight"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); train again.") from error
    components = load_array(folder / f"{prefix}_components.npy")
    idf = load_array(folder / f"{prefix}_idf.npy")
    if components.ndim != 2 or not len(vocabulary) == len(idf) == len(components):
        raise ArtifactError(
            f"The text model {prefix} in {folder} has {len(vocabulary)} terms, {len(idf)} idf values and "
            f"components of shape {components.shape}; they must be as many. Train again."
        )
    completion = load_array(folder / f"{prefix}_completion.npy")
    if completion.shape != (components.shape[1],) * 2:
        raise ArtifactError(
            f"The text model of {prefix} in {folder} has vectors of {components.shape[1]} numbers but a "
            f"completion of shape {completion.shape}; both must be of one training. Train again."
        )
    return TextModel(vocabulary, idf, components, completion, tag_weight)
