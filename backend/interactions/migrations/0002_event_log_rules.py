"""What the event log promises, kept by the database whoever writes.

The version of a live profile is a sum of counters that only grow: a user's rows, those taken back,
the user's profile_version, the version of the weights. These triggers keep it growing.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION interactions_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Interaction % cannot change: only retracted_at can be set, once. Record a new event instead.',
        OLD.event_id USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER refuse_change BEFORE UPDATE ON interactions_userinteraction
    FOR EACH ROW
    WHEN ((OLD.event_id, OLD.user_id, OLD.startup_id, OLD.type, OLD.occurred_at)
              IS DISTINCT FROM (NEW.event_id, NEW.user_id, NEW.startup_id, NEW.type, NEW.occurred_at)
          OR (OLD.retracted_at IS NOT NULL AND NEW.retracted_at IS DISTINCT FROM OLD.retracted_at))
    EXECUTE FUNCTION interactions_refuse_change();

-- A deleted row leaves the sum by 1, or by 2 when it was taken back: profile_version gains more.
CREATE FUNCTION interactions_count_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts_user SET profile_version = profile_version + 2 * gone.n + 1
    FROM (SELECT user_id, count(*) AS n FROM deleted_rows GROUP BY user_id) AS gone
    WHERE accounts_user.id = gone.user_id;
    RETURN NULL;
END $$;
CREATE TRIGGER count_deleted AFTER DELETE ON interactions_userinteraction
    REFERENCING OLD TABLE AS deleted_rows
    FOR EACH STATEMENT EXECUTE FUNCTION interactions_count_deleted();

CREATE FUNCTION interactions_raise_weights_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER raise_version BEFORE UPDATE ON interactions_signalweights
    FOR EACH ROW EXECUTE FUNCTION interactions_raise_weights_version();
"""
DROP = """
DROP TRIGGER refuse_change ON interactions_userinteraction;
DROP TRIGGER count_deleted ON interactions_userinteraction;
DROP TRIGGER raise_version ON interactions_signalweights;
DROP FUNCTION interactions_refuse_change();
DROP FUNCTION interactions_count_deleted();
DROP FUNCTION interactions_raise_weights_version();
"""


class Migration(migrations.Migration):
    dependencies = [("interactions", "0001_initial"), ("accounts", "0002_profile_version")]
    operations = [migrations.RunSQL(CREATE, DROP)]
