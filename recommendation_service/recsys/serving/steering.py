"""What a caller may ask of a list, and what of the catalogue is left by it: one mask over all startups.

The mask is made before anybody ranks, so filters cost no places: a list is short only when the
catalogue that passes them is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

import numpy as np

from recsys.artifacts.stored_catalogue import CODED_FIELDS
from recsys.errors import InvalidRequestError
from recsys.serving.live_state import UserState
from recsys.serving.seen import SeenPolicy
from recsys.serving.served import Served
from recsys.types import BoolArray, Int32Array

METHODS = ("ensemble", "als", "content", "popularity")  # each hands down to the next
FORCED_METHODS = (*METHODS, "two_tower")  # what a caller can ask for by name
MAX_LIMIT = 100
MAX_EXCLUDED = 1000
MAX_VALUES = 100  # of one filter
EARLIEST_YEAR, LATEST_YEAR = 1970, 9998
N_NEAREST = 3
MAX_NAMED = 6  # values in a message
MOMENT_FORM = "write 2026-11-22, or 2026-11-22T10:00:00Z (in an address a + is written %2B)"


@dataclass(frozen=True, slots=True)
class Steering:
    """What a caller asks of a list.

    `limit`: how many startups, 1 to 100; fewer only when fewer are left. `exclude`: ids not to
    show; unknown ones are ignored. `industry`, `country`, `stage`: any of these values, in any
    case; a value may hold several, separated by commas. `created_after`: UTC seconds.
    `diversity`: from 0, the plain list, to 1. `method`: ask this recommender alone. `seen`: the
    policy, None for the one that is set for the service.

    Raises:
        InvalidRequestError: a value is out of its range.
    """

    limit: int = 10
    exclude: Sequence[str] = ()
    industry: Sequence[str] = ()
    country: Sequence[str] = ()
    stage: Sequence[str] = ()
    created_after: float | None = None
    diversity: float = 0.0
    method: str | None = None
    seen: SeenPolicy | None = None

    def __post_init__(self) -> None:
        check_limit(self.limit)
        if len(self.exclude) > MAX_EXCLUDED:
            raise InvalidRequestError(
                f"exclude names {len(self.exclude):,} startups; send at most {MAX_EXCLUDED:,}. "
                "What a user acted on is left out by itself."
            )
        for field in CODED_FIELDS:
            _check_number(field, len(self.values_of(field)))
        if not 0 <= self.diversity <= 1:
            raise InvalidRequestError(f"diversity is {self.diversity}; give a number from 0 to 1.")
        if self.method is not None and self.method not in FORCED_METHODS:
            raise InvalidRequestError(f"method is {self.method!r}; there are {', '.join(FORCED_METHODS)}.")

    def values_of(self, field: str) -> Sequence[str]:
        """The values asked for of one of CODED_FIELDS."""
        values: Sequence[str] = getattr(self, field)
        return values


def check_limit(limit: int) -> None:
    """Raise InvalidRequestError unless a list may be so long."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequestError(f"limit is {limit}; ask for 1 to {MAX_LIMIT}.", limit=limit)


def _check_number(field: str, n_values: int) -> None:
    if n_values > MAX_VALUES:
        raise InvalidRequestError(f"{field} has {n_values:,} values; send at most {MAX_VALUES}.")


def parse_created_after(text: str) -> float:
    """UTC seconds of an ISO 8601 date (its first moment) or time; without a zone it is UTC.

    Raises:
        InvalidRequestError: it is neither, or of a year outside 1970 to 9998.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidRequestError(f"created_after is {text[:80]!r}; {MOMENT_FORM}.") from None
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise InvalidRequestError(
            f"created_after is {text[:80]!r}; give a year from {EARLIEST_YEAR} to {LATEST_YEAR}."
        )
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition in words, such as "with industry fintech or robotics", and who meets it.

    `meets` (n_items,). `notice`: what the answer must admit to, if anything.
    """

    words: str
    meets: BoolArray
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The catalogue as steered: `allowed` (n_items,) true where a startup may be offered to the user."""

    allowed: BoolArray
    filters: tuple[Filter, ...]

    @property
    def notices(self) -> Iterator[str | None]:
        """What an answer must admit to."""
        return (each.notice for each in self.filters)


def narrow(served: Served, state: UserState, asked: Steering, *, seen: SeenPolicy, now_s: float) -> Narrowed:
    """What may be offered: active, as asked for, not excluded, not the user's own, not seen.

    Args:
        seen: the policy where the caller names none.
        now_s: UTC seconds.

    Raises:
        InvalidRequestError: no startup has any of the values asked for; names the nearest there are.
    """
    filters = tuple(_filters(served, asked))
    allowed = served.active.copy()
    for each in filters:
        allowed &= each.meets
    policy = seen if asked.seen is None else asked.seen
    shown_again = policy.shown_again(state.dated_acts, now_s)
    hidden = np.setdiff1d(state.acted_on, shown_again) if len(shown_again) else state.acted_on
    excluded = served.items.indices(asked.exclude)
    for indices in (hidden, excluded[excluded >= 0], served.owned.get(state.user_id)):
        allowed[indices] = False
    return Narrowed(allowed, filters)


def why_nothing(served: Served, narrowed: Narrowed) -> str:
    """Why a list is empty, step by step: what each filter left of the catalogue."""
    left = served.active.copy()
    steps = [f"{_count(left):,} startups are active"]
    for each in narrowed.filters:
        left &= each.meets
        steps.append(f"{_count(left) or 'none'} of them {each.words}")
        if not left.any():
            return f"nothing is left to offer: {', '.join(steps)}"
    if left.any() and not narrowed.allowed.any():
        steps.append("all of them acted on, excluded or the user's own")
    return f"nothing is left to offer: {', '.join(steps)}"


def _filters(served: Served, asked: Steering) -> Iterator[Filter]:
    for field in CODED_FIELDS:
        values = [value.strip() for value in asked.values_of(field)]
        if any(values):
            yield _one_of(served, field, filter(None, values))
    if asked.created_after is not None:
        moment = datetime.fromtimestamp(asked.created_after, UTC).isoformat(timespec="seconds")
        yield Filter(f"created after {moment}", served.created_at > asked.created_after)


def _one_of(served: Served, field: str, given: Iterable[str]) -> Filter:
    """Startups with any of the values. One nobody has is told; if nobody has any, it is refused.

    A misspelt value would else give nothing, and read as "nothing for you".
    """
    codes, code_of = served.codes(field)
    values = list(dict.fromkeys(_values(given, code_of)))
    _check_number(field, len(values))
    known = [value for value in values if value in code_of]
    unknown = [value for value in values if value not in code_of]
    if not known:
        found = [get_close_matches(value, code_of, n=N_NEAREST) for value in unknown[:MAX_NAMED]]
        nearest = list(dict.fromkeys(near for values in found for near in values))
        raise InvalidRequestError(
            f"No startup has the {field} {_or(unknown)}; {_hint(field, nearest, code_of)}",
            field=field,
            unknown=unknown,
            nearest=nearest,
        )
    notice = f"no startup has the {field} {_or(unknown)}" if unknown else None
    meets = _any_of(codes, [code_of[value] for value in known], len(code_of))
    return Filter(f"with {field} {_or(known)}", meets, notice)


def _values(given: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """Lower-cased values; one that holds a comma is several, unless a startup has it as it stands."""
    for value in given:
        lowered = value.lower()
        if lowered in known:
            yield lowered
        else:
            yield from filter(None, (part.strip() for part in lowered.split(",")))


def _any_of(codes: Int32Array, wanted: Sequence[int], n_codes: int) -> BoolArray:
    """(n_items,) whose code is among those wanted; one comparison is faster than a look-up."""
    if len(wanted) == 1:
        meets: BoolArray = codes == wanted[0]
        return meets
    is_wanted = np.zeros(n_codes + 1, np.bool_)  # the last is that of -1, not known
    is_wanted[list(wanted)] = True
    return is_wanted[codes]


def _hint(field: str, nearest: Sequence[str], known: Iterable[str]) -> str:
    if nearest:
        return f"did you mean {_or(nearest)}?"
    some = sorted(known)[:MAX_NAMED]
    return f"there are {', '.join(some)} and others." if some else f"no {field} is known here."


def _or(values: Sequence[str]) -> str:
    """ "a, b or c"; of very many only some."""
    shown = [value[:80] for value in values[:MAX_NAMED]]
    if len(values) > MAX_NAMED:
        shown.append(f"{len(values) - MAX_NAMED} others")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _count(mask: BoolArray) -> int:
    return int(np.count_nonzero(mask))
