"""One call for all rows of a transaction, none for what was rolled back."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import transaction

from config.after_commit import AfterCommit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def calls() -> list[list[UUID]]:
    """What was handed over."""
    return []


@pytest.fixture
def after(calls: list[list[UUID]]) -> AfterCommit:
    """Notes its calls."""
    return AfterCommit(calls.append)


A, B, C = sorted(uuid4() for _ in range(3))


def test_without_a_transaction_it_acts_at_once(after: AfterCommit, calls: list[list[UUID]]) -> None:
    after.add([B, A])
    after.add([])

    assert calls == [[A, B]]


def test_a_transaction_is_one_call(after: AfterCommit, calls: list[list[UUID]]) -> None:
    other: list[list[UUID]] = []
    with transaction.atomic():
        after.add([B])
        AfterCommit(other.append).add([C])
        after.add([A])
        after.add([B])
        assert calls == []

    assert (calls, other) == ([[A, B]], [[C]])


def test_what_is_rolled_back_is_forgotten(after: AfterCommit, calls: list[list[UUID]]) -> None:
    with transaction.atomic():
        after.add([A])
        transaction.set_rollback(True)
    assert calls == []

    after.add([B])
    assert calls == [[B]]


def test_a_savepoint_takes_only_its_own_with_it(after: AfterCommit, calls: list[list[UUID]]) -> None:
    with transaction.atomic():
        after.add([A])
        with transaction.atomic():
            after.add([B])
            transaction.set_rollback(True)
        after.add([C])

    assert calls == [[A, C]]
