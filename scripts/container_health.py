"""A container's health check: exit 0 when URL answers 200.

python container_health.py http://127.0.0.1:8000/health/live
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 8


def main(url: str) -> int:
    """Ask as the first of ALLOWED_HOSTS, for Django answers to nobody else."""
    host = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".")
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310  (from the image)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            return 0
    except (urllib.error.URLError, TimeoutError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
