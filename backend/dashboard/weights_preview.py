"""What other signal weights would do to the matrix, computed on a sample of users.

The same users are drawn each time, so two previews differ by their weights alone. So many users and acts
are read at most, whatever the log's size; the result says how many it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

import numpy as np
from django.db import connection

from accounts.models import User
from dashboard.charts import Chart, Series
from interactions.selectors import PACKED_ACT, POSTGRES_EPOCH_S, acts_of_users
from recsys.datasets.weights import EventColumns, resolve_cells
from recsys.types import Float32Array

USERS_AT_MOST = 2_000
ACTS_AT_MOST = 200_000
USERS_A_QUERY = 200
N_BINS = 12

# Opted-out users are left out, as every export does.
SAMPLE_SQL = """
SELECT id FROM accounts_user TABLESAMPLE BERNOULLI (%s) REPEATABLE (17)
WHERE NOT opted_out ORDER BY md5(id::text) LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Preview:
    """The cells of the sampled users under the present weights and under others, in the same order."""

    n_users: int  # with acts
    n_acts: int
    before: Float32Array
    after: Float32Array

    @property
    def n_cells(self) -> int:
        """Users x startups with an act."""
        return len(self.before)

    @property
    def n_changed(self) -> int:
        """Cells whose value is another one."""
        return int((self.before != self.after).sum())

    @property
    def percent_changed(self) -> float:
        """Of the cells."""
        return 100.0 * self.n_changed / self.n_cells if self.n_cells else 0.0

    @property
    def summary(self) -> str:
        """What changes, and what that rests on."""
        return (
            f"{self.n_changed:,} of {self.n_cells:,} cells ({self.percent_changed:.1f} %) change value, "
            f"in a sample of {self.n_users:,} users with {self.n_acts:,} acts."
        )

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """(what, before, after) for a table."""
        both = (self.before, self.after)
        counts = [
            ("positive cells", *(f"{int((cells > 0).sum()):,}" for cells in both)),
            ("negative cells (active dislikes)", *(f"{int((cells < 0).sum()):,}" for cells in both)),
        ]
        if not self.n_cells:
            return counts
        return [
            *counts,
            ("mean of the cells", *(f"{cells.mean():.3f}" for cells in both)),
            ("median of the cells", *(f"{np.median(cells):.3f}" for cells in both)),
            ("largest cell", *(f"{cells.max():.3f}" for cells in both)),
        ]

    @property
    def chart(self) -> Chart:
        """How the cells are distributed before and after."""
        labels, counts = _histograms(self.before, self.after)
        return Chart(
            id="cells",
            title="Values of the cells",
            unit="cells of the sample",
            definition=(
                "A cell is what a user did to one startup: the sum over types of weight x (1 + ln times "
                "done), or the dislike's weight where a dislike is the latest explicit act. Bins grow by "
                "a constant factor."
            ),
            labels=labels,
            series=[
                Series("present weights", counts[0]),
                Series("weights in the form", counts[1]),
            ],
            x_title="value of the cell",
            empty="The sampled users have no acts.",
            summary=f"{self.n_changed:,} of {self.n_cells:,} cells change.",
        )


def preview_weights(present: Mapping[str, float], others: Mapping[str, float]) -> Preview:
    """The cells of a sample of users under both.

    Raises:
        ConfigError: weights that cannot work.
    """
    n_users, events = _sampled_events()
    before, after = (resolve_cells(events, weights).weight for weights in (present, others))
    return Preview(n_users, len(events), before, after)


def _sampled_events() -> tuple[int, EventColumns]:
    ids = _sampled_users()
    users: list[np.ndarray] = []
    acts: list[np.ndarray] = [np.empty(0, PACKED_ACT)]
    for start in range(0, len(ids), USERS_A_QUERY):
        for found in acts_of_users(ids[start : start + USERS_A_QUERY]):
            if not len(found.acts):
                continue
            users.append(np.full(len(found.acts), len(users), np.int64))
            acts.append(found.acts)
        if sum(map(len, acts)) > ACTS_AT_MOST:
            break
    return len(users), _as_columns(np.concatenate([np.empty(0, np.int64), *users]), np.concatenate(acts))


def _sampled_users() -> list[UUID]:
    percent = min(100.0, 100.0 * USERS_AT_MOST / max(User.objects.count(), 1))
    with connection.cursor() as cursor:
        cursor.execute(SAMPLE_SQL, [percent, USERS_AT_MOST])
        return [row[0] for row in cursor]


def _as_columns(users: np.ndarray, acts: np.ndarray) -> EventColumns:
    # Ids as raw bytes: as a string of bytes, one that ends in zeros would be shortened.
    startups = np.unique(np.ascontiguousarray(acts["startup"]).view("V16"), return_inverse=True)[1]
    return EventColumns(
        users,
        startups.astype(np.int64),
        acts["type"].copy(),
        POSTGRES_EPOCH_S + acts["occurred_at_us"].astype(np.int64) / 1e6,
        acts["id"].astype(np.int64),
    )


def _histograms(before: Float32Array, after: Float32Array) -> tuple[list[str], list[list[int]]]:
    """Bins that hold all of both: one for everything negative, the others grow by a factor."""
    positive = np.concatenate((before[before > 0], after[after > 0])).astype(np.float64)
    if not len(positive):
        return ["negative"], [[len(before)], [len(after)]]
    low, high = float(positive.min()), float(positive.max())
    edges = np.geomspace(low, max(high, low * 1.001), N_BINS + 1)
    labels = ["negative", *(f"{a:.3g} to {b:.3g}" for a, b in pairwise(edges))]
    counts = []
    for cells in (before, after):
        # By the edges within: rounding of the outermost ones loses nothing.
        place = np.searchsorted(edges[1:-1], cells[cells > 0], side="right")
        binned = np.bincount(place, minlength=N_BINS)
        counts.append([int((cells < 0).sum()), *(int(n) for n in binned)])
    return labels, counts
