"""Processed data: what is in a version, that it comes back, and what is said of one that cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix

from recsys.cli import main
from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.opening import open_dataset
from recsys.datasets.processed import (
    CONFIDENCE_FILE,
    MANIFEST_FILE,
    ProcessedData,
    list_processed,
    load_processed,
    save_processed,
    version_of,
)
from recsys.datasets.processing import ProcessingConfig, process_dataset
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.errors import ConfigError, DataError

N_USERS, N_ITEMS = 40, 18


@pytest.fixture
def dataset() -> Dataset:
    """Users 0..9 act once or twice, the others more; likes of 4 to 6 and no's of 1 to 4, with times."""
    rng = np.random.default_rng(5)
    cells = np.zeros((N_USERS, N_ITEMS), np.float32)
    for user in range(N_USERS):
        chosen = rng.choice(N_ITEMS, 1 + user % 2 if user < 10 else 8, replace=False)
        cells[user, chosen] = rng.choice([4.0, 4.5, 5.0, 5.75, -1.5, -3.0], len(chosen))
    cells[:2, 0] = 5.0
    user_items = csr_matrix(cells)
    times = csr_matrix(
        (rng.permutation(user_items.nnz) + 1.0, user_items.indices, user_items.indptr), user_items.shape
    )
    return Dataset(
        user_items,
        IdMap(f"u{user}" for user in range(N_USERS)),
        IdMap(f"i{item}" for item in range(N_ITEMS)),
        last_event_at=times,
        catalogue=Catalogue((CatalogueItem("i0", "Bag"), CatalogueItem("new", "Hat"))),
    )


def config(**values: object) -> ProcessingConfig:
    return ProcessingConfig.default(**{"min_user_interactions": 3, "n_popular": 5, **values})


def save(dataset: Dataset, root: Path, **values: object) -> str:
    options = config(**values)
    version = version_of(dataset, options, None)
    save_processed(process_dataset(dataset, options), root, version, facts={})
    return version


def assert_same(one: ProcessedData, other: ProcessedData) -> None:
    for a, b in ((one.trainable, other.trainable), (one.cold, other.cold)):
        assert a.user_mapping.ids == b.user_mapping.ids
        for name in ("confidence", "held_out", "last_event_at", "test"):
            np.testing.assert_array_equal(getattr(a, name).toarray(), getattr(b, name).toarray())
    np.testing.assert_array_equal(one.item_popularity, other.item_popularity)
    for name in ("explicit_negatives", "implicit_negatives", "positives"):
        for a_rows, b_rows in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(a_rows, b_rows)


@pytest.mark.parametrize("min_user_interactions", [2, 3])
def test_users_are_parted_by_their_train_cells_and_none_is_lost(
    dataset: Dataset, min_user_interactions: int
) -> None:
    processed = process_dataset(dataset, config(min_user_interactions=min_user_interactions))

    n_train = {
        user: int(count)
        for one in (processed.trainable, processed.cold)
        for user, count in zip(one.user_mapping.ids, np.diff(one.confidence.indptr), strict=True)
    }
    assert sorted(n_train) == sorted(dataset.user_mapping.ids)
    assert all(n_train[user] >= min_user_interactions for user in processed.trainable.user_mapping.ids)
    assert all(n_train[user] < min_user_interactions for user in processed.cold.user_mapping.ids)
    assert len(processed.cold.user_mapping) > 0


def test_every_cell_is_learned_from_or_held_out_once(dataset: Dataset) -> None:
    processed = process_dataset(dataset, config())

    for segment in (processed.trainable, processed.cold):
        rows = dataset.user_mapping.indices(segment.user_mapping.ids)
        whole = dataset.user_items.toarray()[rows]
        train, held_out = segment.confidence.toarray(), segment.held_out.toarray()
        np.testing.assert_array_equal(train + held_out, whole)
        assert not ((train != 0) & (held_out != 0)).any()
        np.testing.assert_array_equal(segment.test.toarray(), np.where(held_out > 0, held_out, 0))
    assert processed.trainable.test.nnz > 0


def test_nothing_held_out_is_known_to_what_is_learned_from(dataset: Dataset) -> None:
    processed = process_dataset(dataset, config())

    train = processed.trainable.confidence.toarray()
    likes = (train > 0).sum(axis=0)
    np.testing.assert_array_equal(processed.binary.toarray(), train > 0)
    np.testing.assert_allclose(processed.item_popularity, np.log1p(likes), rtol=1e-6)
    popular = {item for item in np.argsort(-likes, kind="stable")[:5].tolist() if likes[item]}
    for user, row in enumerate(train):
        assert processed.positives.of_user(user).tolist() == np.flatnonzero(row > 0).tolist()
        assert processed.explicit_negatives.of_user(user).tolist() == np.flatnonzero(row < 0).tolist()
        untouched = sorted(popular - set(np.flatnonzero(row).tolist()))
        assert processed.implicit_negatives.of_user(user).tolist() == untouched
    assert processed.split.train.last_event_at is not None
    latest = processed.split.train.last_event_at.data.max()
    held_out = processed.trainable.held_out.toarray() != 0
    assert processed.trainable.last_event_at is not None
    assert (processed.trainable.last_event_at.toarray()[held_out] > latest - 1e-9).any()


def test_counts_given_stand_for_popularity(dataset: Dataset) -> None:
    counts = np.arange(N_ITEMS, dtype=np.float64)

    processed = process_dataset(dataset, config(), counts=counts)

    np.testing.assert_allclose(processed.item_popularity, np.log1p(counts), rtol=1e-6)
    assert version_of(dataset, config(), counts) != version_of(dataset, config(), None)


def test_a_version_comes_back_as_it_was(dataset: Dataset, tmp_path: Path) -> None:
    version = save(dataset, tmp_path)

    assert_same(load_processed(tmp_path, version), process_dataset(dataset, config()))
    loaded = load_processed(tmp_path)
    assert loaded.catalogue == dataset.catalogue
    assert loaded.split.train.user_mapping.ids == loaded.trainable.user_mapping.ids
    assert loaded.cold_split.train.n_users == len(loaded.cold.user_mapping)
    segments = pq.read_table(tmp_path / version / "user_segments.parquet").to_pylist()
    assert {row["user_id"] for row in segments if row["segment"] == "cold"} == set(
        loaded.cold.user_mapping.ids
    )
    endings = {path.suffix for path in (tmp_path / version).iterdir()}
    assert endings == {".npz", ".npy", ".parquet", ".json"}


def test_the_version_follows_content_and_options(dataset: Dataset) -> None:
    version = version_of(dataset, config(), None)

    assert version == version_of(dataset, config(), None)
    assert version != version_of(dataset, config(min_user_interactions=2), None)
    dataset.__dict__.pop("content_hash")
    dataset.user_items.data[0] += 1
    assert version != version_of(dataset, config(), None)


def test_the_latest_is_the_one_made_last_and_old_ones_stay(dataset: Dataset, tmp_path: Path) -> None:
    first, second = save(dataset, tmp_path), save(dataset, tmp_path, min_user_interactions=2)

    assert [one["version"] for one in list_processed(tmp_path)] == [second, first]
    assert load_processed(tmp_path).manifest["version"] == second
    save(dataset, tmp_path)
    assert load_processed(tmp_path).manifest["version"] == first


def test_nothing_held_out_on_request_or_a_dataset_without_times(dataset: Dataset) -> None:
    whole = process_dataset(dataset, config(test_split=0.0))

    assert whole.trainable.held_out.nnz == 0
    timeless = Dataset(dataset.user_items, dataset.user_mapping, dataset.item_mapping)
    processed = process_dataset(timeless, config())
    assert processed.trainable.last_event_at is None
    assert "at random" in processed.strategy


def test_trainers_open_a_version_or_the_latest(dataset: Dataset, tmp_path: Path) -> None:
    version = save(dataset, tmp_path)
    rows = dataset.user_mapping.indices(load_processed(tmp_path).trainable.user_mapping.ids)

    for path in (tmp_path, tmp_path / version):
        opened = open_dataset(path)
        np.testing.assert_array_equal(opened.user_items.toarray(), dataset.user_items.toarray()[rows])
        assert opened.last_event_at is not None
        assert dataset.last_event_at is not None
        times = dataset.last_event_at.toarray()[rows]
        np.testing.assert_array_equal(opened.last_event_at.toarray(), times)
        np.testing.assert_array_equal(opened.last_event_at.indices, opened.user_items.indices)


def test_a_version_that_is_not_there_names_those_that_are(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no processed data"):
        load_processed(tmp_path)
    version = save(dataset, tmp_path)

    with pytest.raises(DataError, match=f"no data version 'abc'; it has {version}"):
        load_processed(tmp_path, "abc")
    with pytest.raises(DataError, match=f"no data version 'abc'; it has {version}"):
        open_dataset(tmp_path / "abc")


@pytest.mark.parametrize("counts", [{"items": 3}, {}, [], "many"])
def test_a_manifest_that_does_not_count_is_told(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], counts: object
) -> None:
    save_processed(process_dataset(dataset, config()), tmp_path, "v1", facts={})
    path = tmp_path / "v1" / "processed.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "counts": counts}))

    assert main(["process", "--output", str(tmp_path), "--list"]) == 1

    assert "does not count trainable_users" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "is not of schema version 1"),
        ('{"schema_version": 1}', "lacks counts, files"),
        ({"processed_at": None}, "has processed_at: None, which must be text"),
        ({"counts": {}}, "does not count trainable_users"),
    ],
)
def test_one_damaged_manifest_leaves_the_others_in_reach(
    dataset: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    content: str | dict[str, object],
    told: str,
) -> None:
    older, newer = save(dataset, tmp_path), save(dataset, tmp_path, min_user_interactions=2)
    path = tmp_path / newer / MANIFEST_FILE
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_text()), **content})
    path.write_text(content)

    assert main(["process", "--output", str(tmp_path), "--list"]) == 0

    listed = capsys.readouterr().out
    assert older in listed
    assert newer not in listed
    warned = (
        rf"data version left out: .*{newer}/{MANIFEST_FILE} .*{told}.*; process the data again, or remove"
    )
    assert re.search(warned, caplog.text)
    caplog.clear()
    assert load_processed(tmp_path).manifest["version"] == older
    assert open_dataset(tmp_path).n_users > 0
    assert len(re.findall(warned, caplog.text)) == 2
    with pytest.raises(DataError, match=told):
        load_processed(tmp_path, newer)


@pytest.mark.parametrize("name", [CONFIDENCE_FILE, "item_popularity.npy", "explicit_negatives.npz"])
def test_a_damaged_file_is_named(dataset: Dataset, tmp_path: Path, name: str) -> None:
    path = tmp_path / save(dataset, tmp_path) / name
    whole = path.read_bytes()

    for damaged in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=name):
            load_processed(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=name):
        load_processed(tmp_path)


def test_a_manifest_cannot_hide_a_file_that_does_not_fit(dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / save(dataset, tmp_path)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    del manifest["files"]["implicit_negatives.npz"]
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    np.savez(folder / "implicit_negatives.npz", starts=np.zeros(2, np.int64), items=np.zeros(0, np.int32))

    with pytest.raises(DataError, match=r"implicit_negatives.npz does not fit its mappings"):
        load_processed(tmp_path)


def test_a_failed_writing_leaves_the_version_as_it_was(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = save(dataset, tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / version).iterdir()}
    monkeypatch.setattr(IdMap, "save", lambda self, path: path.write_text("{") and 1 / 0)

    with pytest.raises(ZeroDivisionError):
        save(dataset, tmp_path)

    assert {path.name: path.read_bytes() for path in (tmp_path / version).iterdir()} == before


def test_a_full_disk_is_named_and_leaves_what_was_there(
    dataset: Dataset, tmp_path: Path, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    version = save(dataset, tmp_path)
    other = process_dataset(dataset, config(min_user_interactions=2))

    for name in (version, "new"):
        with (
            full_disk(),
            pytest.raises(DataError, match=rf"{tmp_path}/{name} cannot be written .*free space"),
        ):
            save_processed(other, tmp_path, name, facts={})

    assert [path.name for path in tmp_path.iterdir()] == [version]
    assert_same(load_processed(tmp_path), process_dataset(dataset, config()))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_user_interactions": 0}, r"processing.min_user_interactions is 0; .* whole number from 1"),
        ({"test_split": 1.0}, r"processing.test_split is 1.0; it must be from 0"),
        ({"n_popular": -1}, r"processing.n_popular is -1"),
        ({"minimum": 2}, r"processing has no minimum; it has min_user_interactions"),
    ],
)
def test_an_option_that_cannot_work_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProcessingConfig.default(**values)


def test_nobody_trainable_is_refused_with_the_mend(dataset: Dataset) -> None:
    with pytest.raises(DataError, match=r"No user with 30 interactions .* lower --min-user-interactions"):
        process_dataset(dataset, config(min_user_interactions=30))


def test_the_command_prints_a_line_and_lists(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_dataset(dataset, tmp_path / "data")
    (tmp_path / "sales.csv").write_text("item,count\ni0,9\n")
    out = str(tmp_path / "processed")
    assert main(["process", "--list", "--output", out]) == 0
    assert "holds no processed data yet" in capsys.readouterr().out

    command = ["process", "--data", str(tmp_path / "data"), "--output", out, "--min-user-interactions", "3"]
    assert main([*command, "--test-split", "0.3", "--counts", str(tmp_path / "sales.csv")]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["options"] == {"min_user_interactions": 3, "test_split": 0.3, "n_popular": 50, "seed": 42}
    assert told["popularity_of"] == "counts given"
    loaded = load_processed(Path(out), told["version"])
    assert loaded.item_popularity[0] == pytest.approx(np.log(10))
    assert main(["process", "--list", "--output", out]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[1].startswith(told["version"])
    assert str(told["counts"]["trainable_users"]) in listed[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Nothing to process: name the folder with --data"),
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--data", "DATA", "--min-user-interactions", "0"], "it must be a whole number from 1"),
        (["--data", "DATA", "--counts", "none.csv"], "none.csv does not exist"),
    ],
)
def test_bad_input_is_one_line(
    dataset: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    save_dataset(dataset, tmp_path / "data")
    given = [str(tmp_path / "data") if option == "DATA" else option for option in options]

    assert main(["process", "--output", str(tmp_path / "out"), *given]) == 1

    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
