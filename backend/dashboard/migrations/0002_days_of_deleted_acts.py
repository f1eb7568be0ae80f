"""Deleting acts leaves no trace to count by, so the database notes the days in the same transaction."""

from django.db import migrations

CREATE = """
CREATE FUNCTION dashboard_note_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dashboard_deletedacts (day)
    SELECT DISTINCT (occurred_at AT TIME ZONE 'UTC')::date FROM deleted_rows;
    RETURN NULL;
END $$;
CREATE TRIGGER note_deleted_for_dashboard AFTER DELETE ON interactions_userinteraction
    REFERENCING OLD TABLE AS deleted_rows
    FOR EACH STATEMENT EXECUTE FUNCTION dashboard_note_deleted();
"""
DROP = """
DROP TRIGGER note_deleted_for_dashboard ON interactions_userinteraction;
DROP FUNCTION dashboard_note_deleted();
"""


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0001_initial"), ("interactions", "0002_event_log_rules")]
    operations = [migrations.RunSQL(CREATE, DROP)]
