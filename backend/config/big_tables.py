"""The admin over tables of millions of rows: no page counts or scans them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db import connections
from django.db.models import Max, Min, Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

COUNT_AT_MOST = 10_000  # rows counted one by one; beyond, the statistics of the table say how many
PAGES_AT_MOST = 200  # a page far into a table is reached by its filters, not by skipping rows

NEXT: dict[str, Callable[[datetime], datetime]] = {
    "year": lambda day: day.replace(year=day.year + 1),
    "month": lambda day: (day + timedelta(days=31)).replace(day=1),
    "day": lambda day: day + timedelta(days=1),
}


class EstimatingPaginator(Paginator):
    """Counts few rows exactly and many by estimate."""

    @cached_property
    def count(self) -> int:
        """The rows, up to COUNT_AT_MOST when filtered; an unfiltered table by PostgreSQL's statistics."""
        counted = self.object_list.order_by()[:COUNT_AT_MOST].count()
        if counted < COUNT_AT_MOST or self.object_list.query.where:
            return counted
        return max(counted, self._estimate())

    @cached_property
    def num_pages(self) -> int:
        """Pages that can be asked for."""
        return min(super().num_pages, PAGES_AT_MOST)

    def _estimate(self) -> int:
        with connections[self.object_list.db].cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
                [self.object_list.model._meta.db_table],
            )
            return cursor.fetchone()[0]


class BigTableQuerySet(QuerySet):
    """What the date hierarchy asks, answered from the ends of an index."""

    def datetimes(self, field_name: str, kind: str, order: str = "ASC", tzinfo: Any = None) -> list[datetime]:
        """Every year, month or day from the first row to the last, with rows or without."""
        span = self.order_by().aggregate(first=Min(field_name), last=Max(field_name))
        if span["first"] is None:
            return []
        periods = list(_periods(timezone.localtime(span["first"]), timezone.localtime(span["last"]), kind))
        return periods if order == "ASC" else periods[::-1]


class BigTableAdmin(ModelAdmin):
    """The base of every admin whose table can be large."""

    paginator = EstimatingPaginator
    show_full_result_count = False
    list_per_page = 50
    list_disable_select_all = True
    list_filter_submit = True

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Rows of the table, with a cheap date hierarchy."""
        return BigTableQuerySet(self.model, using=self.model._default_manager.db).order_by(
            *self.get_ordering(request)
        )


def as_uuid(text: str) -> UUID | None:
    """The id that a searched text is, if it is one."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def summary_of_deletion(
    objects: Any, model: type[Model], related: dict[str, int]
) -> tuple[list, dict, set, list]:
    """What `get_deleted_objects` answers, with the numbers of related rows in place of a list of them."""
    shown = [str(each) for each in objects]
    counts = {str(model._meta.verbose_name_plural): len(shown), **related}
    return [*shown, *(f"{n:,} {name}" for name, n in related.items() if n)], counts, set(), []


def _periods(first: datetime, last: datetime, kind: str) -> Iterator[datetime]:
    day = first.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind != "day":
        day = day.replace(day=1)
    if kind == "year":
        day = day.replace(month=1)
    while day <= last:
        yield day
        day = NEXT[kind](day)
