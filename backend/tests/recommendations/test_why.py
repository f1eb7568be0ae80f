"""`manage.py why USER STARTUP`, against a real service that serves the demo world."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.models import User
from interactions.models import UserInteraction
from recommendations.inference import inference_client
from startups.models import Startup
from testing import Make


@pytest.fixture
def warm(world: None) -> User:
    """The demo user whom als answers."""
    return User.objects.get(username="demo-warm")


def why(user: User | str, startup: Startup | str, **options: Any) -> dict[str, str]:
    """The lines of the command by their first word; those of the parts under ""."""
    names = [str(thing.pk) if isinstance(thing, User | Startup) else thing for thing in (user, startup)]
    out = StringIO()
    call_command("why", *names, stdout=out, **options)
    lines = dict.fromkeys(("Verdict", "Acts", ""), "")
    for line in out.getvalue().splitlines():
        lines[line[:8].strip()] = lines.get(line[:8].strip(), "") + line[9:]
    return lines


def listed(user: User, limit: int) -> list[str]:
    answer = inference_client().recommend(str(user.pk), {"limit": limit})
    return [startup["id"] for startup in answer["startups"]]


def act(user: User, startup_id: str, kind: str, captured: DjangoCaptureOnCommitCallbacks) -> None:
    with captured(execute=True):
        UserInteraction.objects.create(user=user, startup_id=startup_id, type=kind)


def test_of_a_recommended_startup_rank_score_reason_and_parts_are_told(warm: User) -> None:
    second = Startup.objects.get(pk=listed(warm, 10)[1])

    told = why("demo-warm", second.name.upper())

    assert told["Verdict"] == "recommended: rank 2 in the list of 10"
    assert told["List"].startswith("als: 10 startups acted on (5 to 19); release ")
    score = re.fullmatch(r"0\.\d{4} \(raw -?\d\.\d{4}\), 2 of \d+ by als", told["Score"])
    assert score is not None, told["Score"]
    assert told["Reason"].startswith("Because you ")
    assert "users of the release acted on it" in told["Known"]


def test_a_startup_too_low_for_the_list_has_its_place_among_all(warm: User) -> None:
    everything = listed(warm, 100)
    told = why(warm, Startup.objects.get(pk=everything[20]))
    place = re.match(r"not recommended: (\d+) of (\d+) by als, below the list of 10$", told["Verdict"])
    assert place is not None, told["Verdict"]
    assert 10 < int(place[1]) <= int(place[2])
    assert why(warm, everything[20], limit=100)["Verdict"] == "recommended: rank 21 in the list of 100"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("view", "the user acted on it, which hides it: for ever"),
        ("dislike", "the user disliked it"),
    ],
)
def test_an_act_that_hides_it_is_told_with_its_time(
    warm: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, kind: str, reason: str
) -> None:
    first = listed(warm, 1)[0]
    act(warm, first, kind, django_capture_on_commit_callbacks)

    told = why(warm, first)

    assert told["Verdict"] == f"not recommended: {reason}"
    assert re.fullmatch(rf"{kind} on \d{{4}}-\d\d-\d\d \d\d:\d\d UTC", told["Acts"])
    assert told["Score"].endswith(", were it let in")


def test_inactive_and_the_users_own_are_told_together(
    warm: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    startup = Startup.objects.get(pk=listed(warm, 1)[0])
    startup.is_active, startup.owner = False, warm
    with django_capture_on_commit_callbacks(execute=True):
        startup.save()

    assert why(warm, startup)["Verdict"] == "not recommended: the startup is not active; it is the user's own"


def test_a_new_startup_is_told_how_it_gets_in(
    warm: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        new = Startup.objects.create(name="Newcomer", short_description="invoices for bakeries")

    assert why(warm, "newcomer")["Known"].startswith("it came after the release: content scores it")
    assert " by content" in why(warm, new)["Score"]


def test_a_startup_the_service_was_never_told_of(warm: User) -> None:
    silent = Startup.objects.create(name="Silent")  # nothing runs after a commit that never comes

    assert "manage.py sync_live_profiles" in why(warm, silent)["Verdict"]


def test_who_did_nothing_or_opted_out_is_answered_without_a_history(
    warm: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        nobody = User.objects.create(username="nobody")
        warm.opted_out = True
        warm.save()
    first = listed(nobody, 1)[0]

    assert why(nobody, first)["List"].startswith("content: 0 startups acted on (below 5)")
    assert why(warm, first)["List"] == "popularity: the user opted out, so nothing personal is used"
    assert why(warm, first)["User"].endswith(", opted out")


def test_who_or_what_is_unknown_or_ambiguous_is_refused_with_the_mend(warm: User, make_startup: Make) -> None:
    twins = [make_startup(name="Twin"), make_startup(name="Twin")]
    for user, startup, message in (
        ("no-such", "Twin", "No user is 'no-such'"),
        (str(uuid4()), "Twin", "No user is"),
        ("demo-warm", "no such", "No startup is 'no such'; give the name in full, or the id"),
        ("demo-warm", "Twin", "Several startups are 'Twin'; give the id of one: "),
    ):
        with pytest.raises(CommandError, match=message):
            why(user, startup)
    with pytest.raises(CommandError, match=str(twins[1].pk)):
        why("demo-warm", "Twin")
    with pytest.raises(CommandError, match="limit"):
        why("demo-warm", str(twins[0].pk), limit=0)


def test_without_the_service_what_the_database_knows_is_told(warm: User, settings: Settings) -> None:
    settings.INFERENCE_URL = "http://127.0.0.1:9"
    inference_client.cache_clear()
    startup, out = Startup.objects.first(), StringIO()

    with pytest.raises(CommandError, match="does not answer"):
        call_command("why", "demo-warm", str(startup.pk), stdout=out)

    assert "User     demo-warm" in out.getvalue()
