"""Our figures on the two public splits of the LightGCN / BARS papers beside published ones.

python benchmarks/popularity_and_als.py --bars-m1 FOLDER --gowalla FOLDER    (train.txt and test.txt in each)
python benchmarks/popularity_and_als.py --bars-m1 FOLDER                     (a minute on 2 cores)

Each line is one `recsys benchmark` in a fresh process, under the all-ranking protocol those papers
use: every item of the train file but the user's own there is ranked, recall@20 divides by the
user's test items, NDCG@20 is binary. The ratio is ours over the published figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe_machine


@dataclass(frozen=True)
class Published:
    """A figure to compare with: recall@20, ndcg@20, and who says so."""

    name: str
    recall: float
    ndcg: float


@dataclass(frozen=True)
class Case:
    """One of our recommenders with its parameters, and the published figures of the same split."""

    split: str
    recommender: str
    parameters: tuple[str, ...]
    peers: tuple[Published, ...]


CASES = (
    Case("bars_m1", "popularity", (), (Published("popularity", 0.1160, 0.1176),)),
    Case(
        "bars_m1",
        "als",
        ("factors=64", "alpha=4", "regularization=10"),
        (
            Published("implicit called directly, 64 factors, alpha 4, regularization 10", 0.2699, 0.2541),
            Published("LightGCN (BARS)", 0.2576, 0.2427),
            Published("UltraGCN (BARS)", 0.2787, 0.2642),
        ),
    ),
    Case(
        "bars_m1",
        "als",
        ("engine=irspack", "factors=256", "alpha0=0.2", "regularization=0.01", "nu=1", "iterations=16"),
        (
            Published("UltraGCN (BARS)", 0.2787, 0.2642),
            Published("SimpleX (BARS)", 0.2802, 0.2670),
        ),
    ),
    Case("gowalla", "popularity", (), (Published("popularity", 0.0416, 0.0317),)),
    Case(
        "gowalla",
        "als",
        ("factors=128", "alpha=20"),
        (
            Published("implicit called directly, 128 factors, untuned", 0.1611, 0.1368),
            Published("MF-BPR (BARS)", 0.1627, 0.1378),
            Published("LightGCN (BARS)", 0.1830, 0.1554),
        ),
    ),
    Case(
        "gowalla",
        "als",
        ("engine=irspack", "factors=512", "alpha0=0.03", "regularization=0.015", "nu=0.7", "iterations=16"),
        (
            Published("EASE (BARS)", 0.1765, 0.1467),
            Published("LightGCN (BARS)", 0.1830, 0.1554),
            Published("SimpleX (BARS)", 0.1872, 0.1557),
        ),
    ),
)


def main() -> int:
    """Run the cases whose folder was given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bars-m1", type=Path, metavar="FOLDER")
    parser.add_argument("--gowalla", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    folders = {"bars_m1": options.bars_m1, "gowalla": options.gowalla}
    if not any(folders.values()):
        parser.error("name at least one folder")
    for case in CASES:
        if folders[case.split]:
            _print_case(case, _run(case, folders[case.split]))
    print(describe_machine("numpy", "scipy", "implicit", "irspack"))
    return 0


def _run(case: Case, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "recsys.cli", "benchmark", "--recommender", case.recommender]
    command += ["--train", str(folder / "train.txt"), "--test", str(folder / "test.txt")]
    if case.parameters:
        command += ["--set", *case.parameters]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _print_case(case: Case, figures: dict[str, Any]) -> None:
    recall, ndcg = figures["recall@20"], figures["ndcg@20"]
    print(f"{case.split} {case.recommender} {' '.join(case.parameters)}")
    print(
        f"  R@20 {recall:.4f}  N@20 {ndcg:.4f}  fit {figures['fit_seconds']:.1f} s  "
        f"evaluate {figures['evaluate_seconds']:.1f} s  peak {figures['peak_memory_mb']:.0f} MB"
    )
    for peer in case.peers:
        print(
            f"  {peer.name}: {peer.recall:.4f} / {peer.ndcg:.4f}, "
            f"ratio {recall / peer.recall:.3f} / {ndcg / peer.ndcg:.3f}"
        )
    print(f"  {figures['protocol']}")


if __name__ == "__main__":
    raise SystemExit(main())
