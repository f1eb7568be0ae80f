"""The lease: one holder at a time, and a token that only grows."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from recommendations.lease import LeaseLostError, check_lease, end_lease, renew_lease, take_lease
from recommendations.models import TrainingLease, TrainingRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def runs() -> list[int]:
    """Two runs."""
    return [TrainingRun.objects.create().pk for _ in range(2)]


def let_it_expire() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE recommendations_traininglease SET expires_at = now() - interval '1 second'")


def test_while_one_holds_it_nobody_else_gets_it(runs: list[int]) -> None:
    token = take_lease(runs[0])

    assert token is not None
    assert take_lease(runs[1]) is None
    assert take_lease(runs[0]) is None
    assert TrainingLease.objects.get().run_id == runs[0]


def test_the_next_holder_has_a_larger_token(runs: list[int]) -> None:
    tokens = []
    for run in runs * 2:
        tokens.append(take_lease(run))
        end_lease(tokens[-1])

    assert tokens == sorted(set(tokens))


def test_an_expired_lease_is_lost_to_the_next(runs: list[int]) -> None:
    old = take_lease(runs[0])
    let_it_expire()
    new = take_lease(runs[1])

    assert new > old
    check_lease(new)
    for act in (renew_lease, check_lease):
        with pytest.raises(LeaseLostError, match="took over"):
            act(old)
    end_lease(old)
    assert take_lease(runs[0]) is None


def test_a_renewed_lease_is_held_on(runs: list[int]) -> None:
    token = take_lease(runs[0])
    let_it_expire()

    renew_lease(token)

    assert take_lease(runs[1]) is None


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_ask_at_once_one_gets_it() -> None:
    run = TrainingRun.objects.create().pk
    start, tokens = threading.Barrier(8), []

    def ask() -> None:
        try:
            start.wait(timeout=30)
            tokens.append(take_lease(run))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert len(tokens) == 8
    assert sum(token is not None for token in tokens) == 1
