"""The outcome of a stage as text."""

from __future__ import annotations

from collections.abc import Sequence

from recsys.experiments.trials import DIED, DONE, FAILED, PRUNED, TrialRow, varied
from recsys.training.tuning.choice import as_number
from recsys.training.tuning.study import SearchResult

MOST_SHOWN = 20


def report_search(result: SearchResult) -> str:
    """The tries best first, the finalists over all seeds, and the choice."""
    rows, choice = result.rows, result.choice
    shown = varied(rows) or ["factors"]
    done = sorted((row for row in rows if row.status == DONE), key=lambda row: -(row.ndcg or 0.0))
    header = [*shown, "seed", "recall@10", "ndcg@10", "s", "stage"]
    table = [header, *(_cells(row, shown) for row in done[:MOST_SHOWN])]
    lines = _aligned(table)
    if len(done) > MOST_SHOWN:
        lines.append(f"... and {len(done) - MOST_SHOWN} more")
    lines += ["", *_told(result), f"validation: {rows[0].protocol}", ""]
    means = [["size", "mean ndcg@10", *shown]]
    means += [
        [str(one.size), f"{one.ndcg:.4f}", *(as_number(one.parameters.get(name)) for name in shown)]
        for one in choice.candidates
    ]
    lines += [f"over {len(choice.chosen.rows)} seeds:", *_aligned(means)]
    return "\n".join((*lines, f"chosen: {choice.describe(shown)}"))


def _told(result: SearchResult) -> list[str]:
    stopped = sum(row.status == PRUNED for row in result.rows)
    failed = [row for row in result.rows if row.status in (FAILED, DIED)]
    lines = [
        f"{result.n_new} tries made now, {result.n_known} were in the log; "
        f"{stopped} stopped early, {len(failed)} failed"
    ]
    lines += [f"failed: {row.error}" for row in failed]
    return lines


def _cells(row: TrialRow, shown: Sequence[str]) -> list[str]:
    values = [as_number(row.parameters.get(name)) for name in shown]
    return [*values, str(row.seed), f"{row.recall:.4f}", f"{row.ndcg:.4f}", f"{row.seconds:.1f}", row.stage]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
