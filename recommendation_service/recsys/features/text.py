"""Startups' texts and tags as vectors: TF-IDF reduced by a truncated SVD (latent semantic analysis,
Deerwester et al., JASIS 1990).

Tags say more than texts and decide where a startup stands. One without tags would stand apart from
all that have some, whatever its text; a ridge regression learned on those with tags moves it to
where startups with such a text stand.

Fitting and applying use NumPy and SciPy alone, so an answering service makes the vector of a
startup created after the training exactly as the training would have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from recsys.datasets.catalogue import CatalogueItem
from recsys.types import BoolArray, Float32Array, Int32Array

WORD = re.compile(r"[^\W_]+(?:[+#'.-][^\W_]+)*[+#]*")
TAG_PREFIX = "tag:"  # of the terms that are tags
MAX_TAG_SHARE = 0.5  # a tag of more startups than this tells nothing
FEW_DOCUMENTS = 100  # half of a small catalogue may be about one thing: a word of so few is kept
SMALL_MATRIX = 64  # up to this rank a dense SVD is exact and quick
COMPLETION_RIDGE = 0.3  # from 0.03 to 1 it made no difference to 600 companies held out


@dataclass(frozen=True)
class TextModel:
    """Term counts to vectors.

    `vocabulary` term -> column; `idf` (n_terms,) float32; `components` (n_terms, dimensions)
    float32; `completion` (dimensions, dimensions) float32, applied to what has no known tag;
    `tag_weight` how many mentions of a word one tag counts for.
    """

    vocabulary: Mapping[str, int]
    idf: Float32Array
    components: Float32Array
    completion: Float32Array
    tag_weight: float

    @classmethod
    def empty(cls) -> TextModel:
        """A model that knows no word: every vector has no dimension."""
        nothing = np.empty((0, 0), np.float32)
        return cls({}, np.empty(0, np.float32), nothing, nothing, 1.0)

    @property
    def dimensions(self) -> int:
        """Length of a vector; 0 when the catalogue had no word to learn from."""
        return int(self.components.shape[1])

    def vectors(self, documents: Sequence[Mapping[str, float]]) -> Float32Array:
        """(n, dimensions) unit vectors of documents given as term -> count; zero if nothing is known."""
        plain = _unit_rows(tf_idf(documents, self.vocabulary, self.idf) @ self.components)
        return _completed(plain, np.array([self._has_tag(one) for one in documents], bool), self.completion)

    def item_vectors(self, items: Iterable[CatalogueItem]) -> Float32Array:
        """(n_items, dimensions) unit vectors of startups."""
        return self.vectors([count_terms(item, self.tag_weight) for item in items])

    def interest_vector(self, interests: Sequence[str]) -> Float32Array:
        """(dimensions,) unit vector of a user's own words, each taken as a tag and as a text."""
        tagged = CatalogueItem(id="-", name="", short_description=" ".join(interests), tags=tuple(interests))
        vector: Float32Array = self.item_vectors([tagged])[0]
        return vector

    def term_loadings(self, item: CatalogueItem) -> tuple[list[str], Float32Array]:
        """The known terms of a startup, and (n_terms, dimensions) vectors that add up to its own."""
        document = count_terms(item, self.tag_weight)
        known = [term for term in document if term in self.vocabulary]
        columns, values = _weigh(document, self.vocabulary, self.idf)
        loadings = self.components[columns] * values[:, None]
        if not self._has_tag(document):
            loadings = loadings @ self.completion
        length = float(np.linalg.norm(loadings.sum(axis=0)))
        shares: Float32Array = loadings / max(length, 1e-12)
        return known, shares

    def _has_tag(self, document: Mapping[str, float]) -> bool:
        return any(term.startswith(TAG_PREFIX) and term in self.vocabulary for term in document)


def fit_text_model(
    items: Sequence[CatalogueItem],
    *,
    dimensions: int,
    min_documents: int,
    max_document_share: float,
    tag_weight: float,
) -> tuple[TextModel, Float32Array]:
    """Learn a model from a catalogue; returns it with the items' (n_items, dimensions) vectors.

    A catalogue with few startups or few words gives fewer dimensions, down to none at all.

    Args:
        items: the catalogue.
        dimensions: length of a vector.
        min_documents: a word or tag must stand in this many startups.
        max_document_share: and a word in at most this share of them. In a small catalogue it may
            stand in half of them, up to 100; a tag may always.
        tag_weight: how many mentions of a word one tag counts for.
    """
    documents = [count_terms(item, tag_weight) for item in items]
    in_documents = Counter(term for document in documents for term in document)
    half = MAX_TAG_SHARE * len(items)
    most_words = max(max_document_share * len(items), min(half, FEW_DOCUMENTS), min_documents)
    most_tags = max(half, min_documents)
    terms = sorted(
        term
        for term, count in in_documents.items()
        if min_documents <= count <= (most_tags if term.startswith(TAG_PREFIX) else most_words)
    )
    vocabulary = {term: column for column, term in enumerate(terms)}
    counts = np.array([in_documents[term] for term in terms], dtype=np.float32)
    idf = (np.log((1 + len(items)) / (1 + counts)) + 1).astype(np.float32)
    matrix = tf_idf(documents, vocabulary, idf)
    components = _right_singular_vectors(matrix, dimensions)
    is_tag = np.array([term.startswith(TAG_PREFIX) for term in terms], bool)
    has_tag = matrix[:, is_tag].getnnz(axis=1) > 0
    plain = _unit_rows(matrix @ components)
    by_text = _unit_rows(matrix[has_tag] @ np.where(is_tag[:, None], np.float32(0), components))
    completion = _fit_completion(by_text, plain[has_tag])
    model = TextModel(vocabulary, idf, components, completion, tag_weight)
    return model, _completed(plain, has_tag, completion)


def count_terms(item: CatalogueItem, tag_weight: float) -> dict[str, float]:
    """Term -> count of one startup: the words of its texts, and its tags and industry as tags."""
    text = f"{item.name} {item.short_description} {item.long_description}".lower()
    counts: Counter[str] = Counter(WORD.findall(text))
    terms: dict[str, float] = dict(counts)
    for tag in {*item.tags, item.industry} - {""}:
        name = "-".join(WORD.findall(tag.lower().replace("-", " ")))
        terms[TAG_PREFIX + name] = tag_weight
    return terms


def tf_idf(
    documents: Sequence[Mapping[str, float]], vocabulary: Mapping[str, int], idf: Float32Array
) -> csr_matrix:
    """(n_documents, n_terms) float32 CSR of (1 + ln count) * idf, each row of length 1."""
    rows = [_weigh(document, vocabulary, idf) for document in documents]
    indptr = np.cumsum([0, *(len(columns) for columns, _ in rows)])
    columns = np.concatenate([np.empty(0, np.int32), *(columns for columns, _ in rows)])
    values = np.concatenate([np.empty(0, np.float32), *(values for _, values in rows)])
    return csr_matrix((values, columns, indptr), (len(documents), len(vocabulary)))


def _weigh(
    document: Mapping[str, float], vocabulary: Mapping[str, int], idf: Float32Array
) -> tuple[Int32Array, Float32Array]:
    """The columns of the known terms of one document, and their values, of length 1 together."""
    known = [(vocabulary[term], count) for term, count in document.items() if term in vocabulary]
    columns = np.array([column for column, _ in known], np.int32)
    counts = np.array([count for _, count in known], np.float32)
    values = np.where(counts > 1, 1.0 + np.log(np.maximum(counts, 1.0)), counts) * idf[columns]
    unit: Float32Array = (values / max(float(np.linalg.norm(values)), 1e-12)).astype(np.float32)
    return columns, unit


def _right_singular_vectors(matrix: csr_matrix, dimensions: int) -> Float32Array:
    """(n_terms, d) leading right singular vectors, d as asked or what the matrix allows."""
    rank = min(matrix.shape)
    if rank == 0:
        return np.zeros((matrix.shape[1], 0), np.float32)
    if rank <= max(SMALL_MATRIX, dimensions):
        right = np.linalg.svd(matrix.toarray(), full_matrices=False)[2][:dimensions].T
    else:
        start = np.random.default_rng(0).normal(size=rank)
        right = svds(matrix.astype(np.float64), k=dimensions, v0=start)[2][::-1].T
    signs = np.sign(right[np.abs(right).argmax(axis=0), np.arange(right.shape[1])])
    return np.ascontiguousarray(right * signs, dtype=np.float32)


def _fit_completion(by_text: Float32Array, whole: Float32Array) -> Float32Array:
    """(d, d) R that brings (n, d) vectors without the tags near those with them.

    Least squares with ridge * |R - I|^2: where there is little to learn from, R changes nothing.
    """
    ridge = COMPLETION_RIDGE * np.eye(by_text.shape[1])
    texts = by_text.astype(np.float64)
    solved = np.linalg.solve(texts.T @ texts + ridge, texts.T @ whole + ridge)
    completion: Float32Array = solved.astype(np.float32)
    return completion


def _completed(plain: Float32Array, has_tag: BoolArray, completion: Float32Array) -> Float32Array:
    """The rows without a tag moved to where their text belongs."""
    vectors = plain.copy()
    vectors[~has_tag] = _unit_rows(plain[~has_tag] @ completion)
    return vectors


def _unit_rows(matrix: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: Float32Array = np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 1e-6)
    return unit
