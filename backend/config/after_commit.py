"""Do one thing for many rows once their transaction has committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from django.db import connection, transaction

Act = Callable[[list[UUID]], object]


class AfterCommit:
    """Collects ids while a transaction runs and hands them over together after its commit.

    A thousand saves cost one call. What a rollback undoes, of the whole or of a savepoint, is forgotten.
    """

    def __init__(self, act: Act) -> None:
        self._act = act

    def add(self, ids: Iterable[UUID]) -> None:
        """Act on these after the commit; at once when no transaction is open."""
        ids = set(ids)
        waiting = self._waiting()
        if waiting is not None:
            waiting.ids |= ids
        elif ids:
            transaction.on_commit(_Batch(self._act, ids))

    def _waiting(self) -> _Batch | None:
        """The batch of this act that the same savepoints would undo, if there is one."""
        savepoints = set(connection.savepoint_ids)
        for undone_by, callback, _ in connection.run_on_commit:
            if isinstance(callback, _Batch) and callback.act is self._act and undone_by == savepoints:
                return callback
        return None


class _Batch:
    """The callback of one transaction, or of one savepoint of it."""

    def __init__(self, act: Act, ids: set[UUID]) -> None:
        self.act = act
        self.ids = ids

    def __call__(self) -> None:
        self.act(sorted(self.ids))
