"""Where the text model puts startups it was not trained on, by their text alone.

python benchmarks/cold_startups.py FOLDER/yc-companies                   (half a minute on 2 cores)
python benchmarks/cold_startups.py FOLDER/yc-companies --validation --set tag_weight=3 dimensions=256

The model of `content` learns from the companies in 2023-02-27.csv, their tags included. Those that
are new in 2024-05-11.csv are placed by name and descriptions; their tags are kept from every model
and are the judge: the mean, over a new company's 10 nearest of 2023 by cosine, of the tags both
have divided by the tags either has. Companies without tags are not judged. Intervals are 95 %
bootstrap over the companies, differences are paired.

The peers are the cosine of scikit-learn's TF-IDF of the texts, as it comes and at its best (logarithm
of counts, English stop words; then with the tags of the known companies among their words), and 10
companies drawn at random.

Parameters are chosen with `--validation`: 600 of the companies of 2023 stand in for the new ones.
Needs the extras `backend` (its importer reads the files) and `dev`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from backend.startups.yc_companies import as_plain_row
from recsys.config import parse_assignments
from recsys.datasets.catalogue import CatalogueItem
from recsys.evaluation.bootstrap import mean_interval, paired_difference_interval
from recsys.features.text import TextModel, fit_text_model
from recsys.recommenders.content import ContentConfig
from recsys.types import Float32Array, Float64Array

NEIGHBOURS = 10
VALIDATION_COMPANIES = 600
SEED = 5


def main() -> int:
    """Place the new companies in each way and print the judgement."""
    options = _parse_options()
    known = read_companies(options.folder / "2023-02-27.csv")
    if options.validation:
        shuffled = np.random.default_rng(SEED).permutation(len(known))
        new = [known[i] for i in shuffled[:VALIDATION_COMPANIES]]
        known = [known[i] for i in shuffled[VALIDATION_COMPANIES:]]
    else:
        ids = {company.id for company in known}
        new = [c for c in read_companies(options.folder / "2024-05-11.csv") if c.id not in ids]
    overlaps = tag_overlaps(new, known)
    judged = np.array([bool(company.tags) for company in new])
    print(
        f"{len(new):,} new companies, {judged.sum():,} of them with tags; {len(known):,} known ones; "
        f"mean tag overlap with the {NEIGHBOURS} nearest, 95 % bootstrap"
    )
    ways = {
        **_by_scikit_learn(new, known),
        **_by_text_model(new, known, ContentConfig.default(**parse_assignments(options.set))),
    }
    figures = {name: _judge(likeness, overlaps)[judged] for name, likeness in ways.items()}
    best_peer = list(ways)[-3]  # the last of scikit-learn's
    for name, values in figures.items():
        mean, gain = mean_interval(values, 0), paired_difference_interval(values, figures[best_peer], 0)
        print(
            f"{name:<54} {mean['mean']:.4f} ({mean['low']:.4f} to {mean['high']:.4f})   less the strongest "
            f"peer {gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"
        )
    print(describe_machine("numpy", "scipy", "scikit-learn"))
    return 0


def read_companies(path: Path) -> list[CatalogueItem]:
    """The companies of one file, texts and tags."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [as_plain_row(row) for row in csv.DictReader(file)]
    return [
        CatalogueItem(
            id=row["id"],
            name=row["name"],
            short_description=row["short_description"],
            long_description=row["long_description"],
            tags=tuple(filter(None, row["tags"].split("|"))),
            industry=row["industry"],
        )
        for row in rows
    ]


def tag_overlaps(new: Sequence[CatalogueItem], known: Sequence[CatalogueItem]) -> Float64Array:
    """(n_new, n_known) tags both have over tags either has, 0 where neither has any."""
    column_of = {tag: i for i, tag in enumerate(sorted({tag for c in (*new, *known) for tag in c.tags}))}

    def table(companies: Sequence[CatalogueItem]) -> csr_matrix:
        cells = [(row, column_of[tag]) for row, c in enumerate(companies) for tag in set(c.tags)]
        rows, columns = np.array(cells).T
        return csr_matrix((np.ones(len(cells)), (rows, columns)), (len(companies), len(column_of)))

    ours, theirs = table(new), table(known)
    both = (ours @ theirs.T).toarray()
    either = np.asarray(ours.sum(axis=1)) + np.asarray(theirs.sum(axis=1)).T - both
    overlaps: Float64Array = both / np.maximum(either, 1.0)
    return overlaps


def _by_scikit_learn(new: Sequence[CatalogueItem], known: Sequence[CatalogueItem]) -> dict[str, Float32Array]:
    """Likenesses by random numbers and by TF-IDF."""
    tagged = [f"{_text(company)} {' '.join(company.tags)}" for company in known]
    texts, queries = [_text(company) for company in known], [_text(company) for company in new]

    def cosine(documents: Sequence[str], **options: object) -> Float32Array:
        vectorizer = TfidfVectorizer(**options)
        learned = vectorizer.fit_transform(documents)
        likeness: Float32Array = (vectorizer.transform(queries) @ learned.T).toarray()
        return likeness

    at_its_best = {"sublinear_tf": True, "stop_words": "english"}
    return {
        "random": np.random.default_rng(0).random((len(new), len(known)), np.float32),
        "TF-IDF of texts": cosine(texts),
        "TF-IDF of texts, logarithms, stop words": cosine(texts, **at_its_best),
        "TF-IDF of texts and known tags, logarithms, stop words": cosine(tagged, **at_its_best),
    }


def _by_text_model(
    new: Sequence[CatalogueItem], known: Sequence[CatalogueItem], config: ContentConfig
) -> dict[str, Float32Array]:
    """Likenesses by the vectors of `content`, and by those of a model that completes nothing."""
    model, vectors = fit_text_model(
        known,
        dimensions=config.dimensions,
        min_documents=config.min_documents,
        max_document_share=config.max_document_share,
        tag_weight=config.tag_weight,
    )
    unchanged = np.eye(model.dimensions, dtype=np.float32)
    return {
        "content without its completion": _place(replace(model, completion=unchanged), new) @ vectors.T,
        "content": _place(model, new) @ vectors.T,
    }


def _place(model: TextModel, new: Sequence[CatalogueItem]) -> Float32Array:
    return model.item_vectors(replace(company, tags=(), industry="") for company in new)


def _text(company: CatalogueItem) -> str:
    return f"{company.name} {company.short_description} {company.long_description}"


def _judge(likeness: Float32Array, overlaps: Float64Array) -> Float64Array:
    """(n_new,) the mean overlap with the nearest; ties go to the company listed first."""
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]
    means: Float64Array = np.take_along_axis(overlaps, nearest, axis=1).mean(axis=1)
    return means


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--validation", action="store_true", help="new companies are some of 2023")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="parameters of content")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
