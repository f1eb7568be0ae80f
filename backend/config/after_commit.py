"""Do one thing for many rows once their transaction has committed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from uuid import UUID

from django.db import transaction


class AfterCommit:
    """Collects ids while a transaction runs and hands them over together after its commit.

    The first callback to run takes every id, so a thousand saves cost one call. Ids of a
    transaction that rolled back go with the thread's next commit, so `act` must be repeatable.
    """

    def __init__(self, act: Callable[[list[UUID]], object]) -> None:
        self._act = act
        self._local = threading.local()

    def add(self, ids: Iterable[UUID]) -> None:
        """Act on these after the commit; at once when no transaction is open."""
        pending: set[UUID] = self._pending()
        pending.update(ids)
        if pending:
            transaction.on_commit(self._flush)

    def _flush(self) -> None:
        pending = self._pending()
        if pending:
            ids = sorted(pending)
            pending.clear()
            self._act(ids)

    def _pending(self) -> set[UUID]:
        if not hasattr(self._local, "ids"):
            self._local.ids = set()
        ids: set[UUID] = self._local.ids
        return ids
