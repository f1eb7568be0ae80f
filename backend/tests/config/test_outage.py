"""The pages of the admin while PostgreSQL is away."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["dashboard:overview", "dashboard:runs", "admin:accounts_user_changelist"])
def test_a_lost_database_is_told_on_a_page_of_its_own(admin_client: Client, name: str) -> None:
    with connection.cursor() as cursor, psycopg.connect(**connection.get_connection_params()) as other:
        cursor.execute("SELECT pg_backend_pid()")
        other.execute("SELECT pg_terminate_backend(%s)", cursor.fetchone())

    try:
        response = admin_client.get(reverse(name))
    finally:
        connection.close()

    assert response.status_code == 503
    assert "The database does not answer" in response.content.decode()
    assert "sessionid" not in response.cookies
    assert admin_client.get(reverse(name)).status_code == 200
