"""How much memory this process may still take: the machine's, and that of every control group it is in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def free_bytes(*, proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Bytes that can be taken without swapping or being killed; None where the system does not tell.

    The least of what the machine has available and what each control group (version 1 or 2), from the
    process's own up to the root, has left. Memory a group only caches files with counts as left.

    Args:
        proc, cgroups: where the kernel's files lie.
    """
    found = [*_of_machine(proc), *_of_groups(proc, cgroups)]
    return max(min(found), 0) if found else None


def _of_machine(proc: Path) -> Iterator[int]:
    for line in _read(proc / "meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield int(value.split()[0]) * 1024


def _of_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            root, files = cgroups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root, files = cgroups / "memory", names
        else:
            continue
        folder = root / group.lstrip("/")
        # Inside a container the path can be the host's: what is mounted there is then the group itself.
        folder = folder if folder.is_dir() else root
        for each in (folder, *folder.parents):
            yield from _left_in(each, *files)
            if each == root:
                break


def _left_in(folder: Path, limit_file: str, usage_file: str, cached: str) -> Iterator[int]:
    limit, usage = _read(folder / limit_file).strip(), _read(folder / usage_file).strip()
    if not (limit.isdecimal() and usage.isdecimal()):
        return  # "max", or the root, which has no limit
    of_files = (line.split() for line in _read(folder / "memory.stat").splitlines())
    reclaimable = sum(int(value) for name, value in of_files if name == cached)
    yield int(limit) - int(usage) + reclaimable


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
