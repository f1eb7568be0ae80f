"""Writes to users and API keys."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import ApiKey, User
from config.puts import PutResult, PutStatus
from interactions.services import refresh_profiles

KEY_START = "sr"  # lets a secret scanner know our keys
USER_FIELDS = ("username", "email", "interests", "opted_out")  # what callers may put


def create_api_key(
    *, name: str, scopes: Sequence[str], expires_at: datetime | None = None, created_by: User | None = None
) -> tuple[ApiKey, str]:
    """Make a key; the text is known only here and now, the database keeps its hash."""
    prefix = secrets.token_hex(4)
    text = f"{KEY_START}_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        name=name,
        prefix=prefix,
        key_hash=_hash(text),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        created_by=created_by,
    )
    return key, text


def revoke_api_keys(keys: QuerySet[ApiKey]) -> int:
    """Make the keys useless from now on; returns how many were usable."""
    return keys.filter(revoked_at=None).update(revoked_at=timezone.now())


def prefix_of(text: str) -> str:
    """The part of a key that finds its row."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == KEY_START else ""


def key_matches(key: ApiKey, text: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(key.key_hash, _hash(text))


@transaction.atomic
def put_users(changes: Sequence[tuple[UUID, Mapping[str, Any]]]) -> list[PutResult]:
    """Create or change each user by id with the given fields; a name that is taken spoils no other.

    Fields: username, email, interests, opted_out.
    """
    ids = {user_id for user_id, _ in changes}
    users = {user.pk: user for user in User.objects.select_for_update().filter(pk__in=ids).order_by("pk")}
    names = [fields.get("username") or str(user_id) for user_id, fields in changes]
    holder_of = dict(User.objects.filter(username__in=names).values_list("username", "pk"))
    results = [_put_user(users, holder_of, user_id, fields) for user_id, fields in changes]
    changed = {result.id for result in results if result.status is not PutStatus.REJECTED}
    User.objects.bulk_create(
        [users[user_id] for user_id in changed],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=USER_FIELDS,
    )
    refresh_profiles.add(changed)
    return results


def _put_user(
    users: dict[UUID, User], holder_of: dict[str, UUID], user_id: UUID, fields: Mapping[str, Any]
) -> PutResult:
    known = users.get(user_id)
    username = fields.get("username", known.username if known else "") or str(user_id)
    if holder_of.setdefault(username, user_id) != user_id:
        message = f"The username {username!r} belongs to another user; choose another for one of the two."
        return PutResult(user_id, PutStatus.REJECTED, "username_taken", message)
    status = PutStatus.UPDATED if user_id in users else PutStatus.CREATED
    user = users.setdefault(user_id, User(pk=user_id, username=str(user_id), password=make_password(None)))
    for name, value in fields.items():
        setattr(user, name, value)
    user.username = username
    return PutResult(user_id, status)


def _hash(text: str) -> str:
    """One round is enough: the text has 256 random bits, nobody guesses it."""
    return hashlib.sha256(text.encode()).hexdigest()
