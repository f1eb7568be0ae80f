"""A release is picked up when it is published; one that is damaged leaves the old one in place."""

from __future__ import annotations

import json
import os
import select
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsys.artifacts.publish import Trained, publish_release
from recsys.artifacts.release import Release, check_golden_queries
from recsys.datasets.user_items import Dataset
from recsys.recommenders import base
from recsys.serving import release_watcher
from recsys.serving.release_watcher import RETRY_FAILED_S, ReleaseWatcher

NOW_S = 1000.0


class Events:
    """What the watcher told, in order."""

    def __init__(self) -> None:
        self.warmed: list[str] = []
        self.loaded: list[str] = []
        self.failures: list[str] = []
        self.another_loaded = threading.Event()

    def on_loaded(self, release: Release | None) -> None:
        self.loaded.append("nothing" if release is None else release.version)
        self.another_loaded.set()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def watch(events: Events) -> Iterator[Callable[[Path], ReleaseWatcher]]:
    watchers: list[ReleaseWatcher] = []

    def make(models_dir: Path) -> ReleaseWatcher:
        watchers.append(
            ReleaseWatcher(
                models_dir,
                warm=lambda release: events.warmed.append(release.version),
                on_loaded=events.on_loaded,
                on_failure=events.failures.append,
            )
        )
        return watchers[-1]

    yield make
    for watcher in watchers:
        watcher.stop()


def damage(models_dir: Path, name: str = "als_v1_item_factors.npy") -> None:
    """Flip one byte of a file of the served release, beside the file readers may have open."""
    path = models_dir / "current" / name
    content = flipped(path)
    path.unlink()
    path.write_bytes(content)


def flipped(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    return bytes(content)


def write_in_place(path: Path, content: bytes) -> None:
    """Into the very file that readers may have open, as a careless copy does."""
    path.chmod(0o644)
    path.write_bytes(content)


def test_it_starts_with_nothing_and_takes_the_first_release(
    tmp_path: Path, watch, events: Events, world: Dataset, trained_world: tuple[Trained, ...]
) -> None:
    watcher = watch(tmp_path)
    watcher.check(NOW_S)
    assert (watcher.release, watcher.failure) == (None, None)
    release = publish_release(tmp_path, world, trained_world)
    watcher.check(NOW_S)
    assert watcher.release is not None
    assert watcher.release.version == release.version
    assert events.warmed == events.loaded == [release.version]


def test_the_thread_takes_the_next_release_by_itself(
    models_dir: Path, watch, events: Events, publish_again: Callable[[], Release]
) -> None:
    watcher = watch(models_dir)
    watcher.check()
    events.another_loaded.clear()
    watcher.start()
    watcher.start()
    second = publish_again()
    assert events.another_loaded.wait(timeout=30)
    assert watcher.release.version == second.version


def test_an_unchanged_pointer_loads_nothing(models_dir: Path, watch, events: Events) -> None:
    watcher = watch(models_dir)
    for _ in range(3):
        watcher.check(NOW_S)
    assert len(events.loaded) == 1


def test_a_damaged_release_keeps_the_old_one_and_is_told(
    models_dir: Path, watch, events: Events, publish_again: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    old = watcher.release
    publish_again()
    damage(models_dir)
    watcher.check(NOW_S)
    assert watcher.release is old
    assert (watcher.failure or "").startswith("Model loading failed: ")
    assert "als_v1_item_factors.npy" in (watcher.failure or "")
    assert events.failures == [watcher.failure]
    assert "Model loading failed" in caplog.text
    assert old is not None
    assert old.version in caplog.text


def test_a_process_that_starts_on_a_damaged_release_serves_the_newest_kept_one(
    models_dir: Path, watch, publish_again: Callable[[], Release]
) -> None:
    kept = (models_dir / "current").readlink().name
    publish_again()
    damage(models_dir)

    watcher = watch(models_dir)
    watcher.check(NOW_S)

    assert watcher.release is not None
    assert watcher.release.version == kept
    assert watcher.failure is not None


def test_a_known_bad_release_is_tried_again_only_after_a_minute(
    models_dir: Path, watch, events: Events
) -> None:
    damage(models_dir)
    watcher = watch(models_dir)
    for later_s in (0, 1, RETRY_FAILED_S - 1):
        watcher.check(NOW_S + later_s)
    assert len(events.failures) == 1
    watcher.check(NOW_S + RETRY_FAILED_S)
    assert len(events.failures) == 2


def test_a_release_that_was_mended_in_place_is_taken_after_a_minute(
    models_dir: Path, watch, events: Events
) -> None:
    damage(models_dir)
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    assert watcher.release is None
    damage(models_dir)  # the same byte flipped back
    watcher.check(NOW_S + RETRY_FAILED_S)
    assert watcher.release is not None
    assert watcher.failure is None


def test_the_next_good_release_is_taken_at_once_after_a_bad_one(
    models_dir: Path, watch, publish_again: Callable[[], Release]
) -> None:
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    publish_again()
    damage(models_dir)
    watcher.check(NOW_S)
    third = publish_again()
    watcher.check(NOW_S)
    assert watcher.release is not None
    assert (watcher.release.version, watcher.failure) == (third.version, None)


def test_rolling_the_pointer_back_serves_the_old_release(
    models_dir: Path, watch, publish_again: Callable[[], Release]
) -> None:
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    assert watcher.release is not None
    first = (models_dir / "current").readlink()
    publish_again()
    watcher.check(NOW_S)
    aside = models_dir / ".back"
    aside.symlink_to(first)
    aside.replace(models_dir / "current")
    watcher.check(NOW_S)
    assert watcher.release.version == first.name


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array is memory-mapped, as large ones are."""
    monkeypatch.setattr(base, "READ_BELOW_BYTES", 0)


@pytest.mark.parametrize("fault", [flipped, lambda path: path.read_bytes()[:200]])
def test_the_served_release_written_to_is_told_and_answers_on_from_memory(
    models_dir: Path, watch, events: Events, publish_again: Callable, fault: Callable[[Path], bytes]
) -> None:
    publish_again()
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    served = watcher.release
    factors = models_dir / "current" / "als_v1_item_factors.npy"
    before = factors.read_bytes()

    write_in_place(factors, fault(factors))
    watcher.check(NOW_S + 1)
    assert watcher.release is served
    assert "als_v1_item_factors.npy" in (watcher.failure or "")
    assert events.failures == [watcher.failure]
    check_golden_queries(served)

    write_in_place(factors, before)
    watcher.check(NOW_S + 2)
    assert watcher.failure is None
    assert watcher.release.version == served.version


@pytest.mark.parametrize("fault", [flipped, lambda path: path.read_bytes()[:200]])
def test_a_mapped_release_written_to_gives_way_to_the_newest_kept_until_restored(
    models_dir: Path,
    watch,
    mapped: None,
    events: Events,
    publish_again: Callable,
    fault: Callable[[Path], bytes],
) -> None:
    kept, served = (models_dir / "current").readlink().name, publish_again().version
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    factors = models_dir / "current" / "als_v1_item_factors.npy"
    before = factors.read_bytes()

    write_in_place(factors, fault(factors))
    watcher.check(NOW_S + 1)
    assert watcher.release.version == kept
    assert "als_v1_item_factors.npy" in (watcher.failure or "")
    check_golden_queries(watcher.release)
    watcher.check(NOW_S + 2)
    assert len(events.failures) == 1

    write_in_place(factors, before)
    watcher.check(NOW_S + 3)
    assert (watcher.release.version, watcher.failure) == (served, None)
    assert events.loaded == [served, kept, served]


def test_a_kept_release_in_service_is_watched_too(
    models_dir: Path, watch, mapped: None, events: Events, publish_again: Callable
) -> None:
    """With nothing whole left nothing is served: a mapped file that was written to answers nonsense."""
    kept = models_dir / (models_dir / "current").readlink()
    publish_again()
    watcher = watch(models_dir)
    for folder in (models_dir / "current", kept):
        watcher.check(NOW_S)
        write_in_place(folder / "popularity_scores.npy", flipped(folder / "popularity_scores.npy"))
    watcher.check(NOW_S)
    assert watcher.release is None
    assert events.loaded[-1] == "nothing"
    assert "popularity_scores.npy" in (watcher.failure or "")


def test_a_mapped_file_that_is_deleted_is_told_and_still_there_for_its_readers(
    models_dir: Path, watch, mapped: None, publish_again: Callable
) -> None:
    publish_again()
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    served = watcher.release
    (models_dir / "current" / "als_v1_item_factors.npy").unlink()
    watcher.check(NOW_S + 1)
    assert watcher.release is served
    assert "is missing" in (watcher.failure or "")
    check_golden_queries(served)


def remove_pointer(models_dir: Path) -> None:
    (models_dir / "current").unlink()


def make_pointer_a_folder(models_dir: Path) -> None:
    """As a copy does that follows links."""
    shutil.copytree(models_dir / "current", models_dir / "copy")
    (models_dir / "current").unlink()
    (models_dir / "copy").rename(models_dir / "current")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            remove_pointer,
            "current is missing though releases are kept; point it to a kept one: ln -s releases/",
        ),
        (make_pointer_a_folder, "current is not a link to a release; move it away (mv "),
    ],
)
def test_a_pointer_that_points_nowhere_is_told_with_its_mend(
    models_dir: Path, watch, fault: Callable[[Path], None], told: str
) -> None:
    pointer = (models_dir / "current").readlink()
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    served = watcher.release
    fault(models_dir)
    watcher.check(NOW_S + 1)
    assert watcher.release is served
    assert (watcher.failure or "").startswith("Model loading failed: ")
    assert told in (watcher.failure or "")
    assert f"ln -s {pointer} {models_dir / 'current'}" in (watcher.failure or "")

    started_later = watch(models_dir)
    started_later.check(NOW_S)
    assert started_later.release.version == served.version
    assert told in (started_later.failure or "")

    if (models_dir / "current").exists():
        (models_dir / "current").rename(models_dir / "not-a-link")
    (models_dir / "current").symlink_to(pointer)
    watcher.check(NOW_S + 2)
    assert (watcher.release.version, watcher.failure) == (served.version, None)


def test_a_models_folder_that_vanishes_is_told(models_dir: Path, watch) -> None:
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    models_dir.rename(models_dir.with_name("elsewhere"))
    watcher.check(NOW_S + 1)
    assert watcher.release is not None
    assert "there is no release in" in (watcher.failure or "")


def test_the_next_training_puts_a_folder_in_the_pointers_place_aside(
    models_dir: Path, watch, publish_again: Callable[[], Release]
) -> None:
    make_pointer_a_folder(models_dir)
    version = publish_again().version
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    assert (watcher.release.version, watcher.failure) == (version, None)
    assert (models_dir / f"before-{version}" / "current" / "manifest.json").is_file()


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def lie_about_factors(path: Path) -> None:
    manifest = json.loads(path.read_text())
    manifest["recommenders"]["als"]["recipe"]["factors"] = 7
    path.unlink()
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("als_v1_item_factors.npy", Path.unlink),
        ("als_v1_item_factors.npy", truncate),
        ("als_v1_item_mapping.json", truncate),
        ("content_item_vectors.npy", truncate),
        ("manifest.json", truncate),
        ("manifest.json", Path.unlink),
        ("manifest.json", lie_about_factors),
    ],
)
def test_whatever_is_wrong_the_old_release_stays(
    models_dir: Path, watch, publish_again: Callable, name: str, fault: Callable[[Path], None]
) -> None:
    watcher = watch(models_dir)
    watcher.check(NOW_S)
    old = watcher.release
    publish_again()
    fault(models_dir / "current" / name)
    watcher.check(NOW_S)
    assert watcher.release is old
    assert (watcher.failure or "").startswith("Model loading failed: ")


def test_a_release_that_cannot_be_warmed_is_not_served(models_dir: Path) -> None:
    def refuse(_: Release) -> None:
        raise MemoryError("no room")

    watcher = ReleaseWatcher(models_dir, warm=refuse, on_loaded=lambda _: None, on_failure=lambda _: None)
    watcher.check(NOW_S)
    assert (watcher.failure or "").startswith("Model loading failed: MemoryError: no room")
    assert watcher.release is None
    watcher.stop()


def test_a_listener_that_fails_costs_the_new_release_and_nothing_else(
    models_dir: Path, publish_again: Callable[[], Release]
) -> None:
    def refuse_the_second(release: Release) -> None:
        if release.version != first:
            raise ValueError("no such time")

    def cannot_be_told(_: str) -> None:
        raise RuntimeError("nobody listens")

    first = (models_dir / "current").readlink().name
    watcher = ReleaseWatcher(
        models_dir, warm=lambda _: None, on_loaded=refuse_the_second, on_failure=cannot_be_told
    )
    watcher.check(NOW_S)
    publish_again()
    watcher.check(NOW_S)
    assert watcher.release is not None
    assert watcher.release.version == first
    assert "ValueError: no such time" in (watcher.failure or "")


def test_a_folder_that_cannot_be_read_is_told_and_taken_when_it_can(
    models_dir: Path, watch, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    watcher = watch(models_dir)
    with monkeypatch.context() as patched:
        patched.setattr(release_watcher, "current_version_key", refuse)
        watcher.check(NOW_S)
        watcher.check(NOW_S + 1)
    assert len(events.failures) == 1
    assert f"{models_dir} cannot be read" in (watcher.failure or "")
    watcher.check(NOW_S + 2)
    assert watcher.release is not None
    assert watcher.failure is None


def test_the_thread_outlives_a_check_that_fails(
    models_dir: Path, watch, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_once(_: ReleaseWatcher) -> None:
        monkeypatch.undo()
        raise RuntimeError("out of nowhere")

    monkeypatch.setattr(ReleaseWatcher, "check", fail_once)
    watcher = watch(models_dir)
    watcher.start()
    assert events.another_loaded.wait(timeout=30)
    assert events.failures == ["Model loading failed: RuntimeError: out of nowhere; see the log."]


def test_a_process_forked_after_the_start_watches_by_itself(
    models_dir: Path, events: Events, watch, publish_again: Callable[[], Release]
) -> None:
    """As with gunicorn --preload: the child has a copy of the object, and no thread."""
    watcher = watch(models_dir)
    watcher.check()
    watcher.start()
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            assert watcher.release is not None
            os.write(to_parent, b"used")
            os.read(from_parent, 1)
            events.another_loaded.clear()
            if watcher.release.version == events.loaded[0]:
                events.another_loaded.wait(timeout=30)
            os.write(to_parent, watcher.release.version.encode())
        finally:
            os._exit(0)
    assert os.read(from_child, 4) == b"used"
    second = publish_again()
    os.write(to_child, b".")
    assert select.select([from_child], [], [], 30)[0], "the child did not take the second release"
    assert os.read(from_child, 100).decode() == second.version
    os.waitpid(child, 0)
    for descriptor in (from_child, to_parent, from_parent, to_child):
        os.close(descriptor)
