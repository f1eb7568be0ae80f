"""What a figure was measured on; every script here prints it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path


def describe_machine(*libraries: str) -> str:
    """Processor, cores this process may use, Python, and the versions of the libraries named."""
    versions = " ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries)
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{_processor()}, {cores} cores, {system}, {versions}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
