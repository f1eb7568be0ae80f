"""What is free: the least of the machine's and of every control group's, as the kernel writes it down."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.memory import free_bytes

GB = 1024**3


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:  {8 * GB // 1024} kB\n")
    return folder


def write_group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_this_machine_tells() -> None:
    free = free_bytes()

    assert free is not None
    assert 0 < free < 1 << 50


def test_without_groups_it_is_what_the_machine_has(proc: Path, tmp_path: Path) -> None:
    assert free_bytes(proc=proc, cgroups=tmp_path / "none") == 8 * GB


def test_a_limit_of_version_2_counts_and_its_cached_files_do_not(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/app/worker\n")
    root = tmp_path / "cgroup"
    write_group(root / "app" / "worker", memory__max="max", memory__current=GB)
    write_group(
        root / "app", memory__max=4 * GB, memory__current=3 * GB, memory__stat=f"anon 1\ninactive_file {GB}"
    )

    assert free_bytes(proc=proc, cgroups=root) == 2 * GB


def test_a_limit_of_version_1_counts(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("5:cpu:/x\n4:hugetlb,memory:/job\n0::/\n")
    root = tmp_path / "cgroup"
    write_group(
        root / "memory" / "job", memory__limit_in_bytes=3 * GB, memory__usage_in_bytes=GB, memory__stat="x 0"
    )

    assert free_bytes(proc=proc, cgroups=root) == 2 * GB


def test_in_a_container_the_mounted_folder_is_the_group(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/docker/abc\n")
    write_group(tmp_path / "cgroup", memory__max=GB, memory__current=GB + 5)

    assert free_bytes(proc=proc, cgroups=tmp_path / "cgroup") == 0


def test_where_nothing_tells_it_is_unknown(tmp_path: Path) -> None:
    assert free_bytes(proc=tmp_path, cgroups=tmp_path) is None
