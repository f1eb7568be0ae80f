"""manage.py create_api_key."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey
from testing import Api, error_of

pytestmark = pytest.mark.django_db


def created(*arguments: str) -> str:
    out = StringIO()
    call_command("create_api_key", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_what_is_printed_opens_the_api() -> None:
    text = created("web")

    service = Api(Client(), {"X-API-Key": text})
    assert service.get("/startups").status_code == 200
    key = ApiKey.objects.get()
    assert (key.name, key.scopes, key.expires_at) == ("web", ["read", "write"], None)


def test_scopes_and_expiry_are_kept() -> None:
    text = created("web", "--scopes", "read", "--expires-days", "90")

    key = ApiKey.objects.get()
    assert key.scopes == ["read"]
    assert abs(key.expires_at - timezone.now() - timedelta(days=90)) < timedelta(minutes=1)
    assert error_of(Api(Client(), {"X-API-Key": text}).post("/interactions", {})) == (403, "missing_scope")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("web", "--scopes", "everything"),
        *[("web", "--expires-days", days) for days in ("0", "-1", "36501", "1000000000000", "soon")],
        *[(name,) for name in ("", " ", "w" * 101, "a\0b", "a\nb", "\udcff")],
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        created(*arguments)
    assert not ApiKey.objects.exists()
