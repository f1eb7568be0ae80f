"""The database keeps `profile_version`, so that no way of writing a user can forget or lower it."""

from django.db import migrations

CREATE = """
CREATE FUNCTION accounts_user_keep_profile_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A stale object saved whole must not bring an older number back.
    NEW.profile_version := GREATEST(OLD.profile_version, NEW.profile_version);
    IF (NEW.interests, NEW.opted_out) IS DISTINCT FROM (OLD.interests, OLD.opted_out) THEN
        NEW.profile_version := NEW.profile_version + 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_profile_version BEFORE UPDATE ON accounts_user
    FOR EACH ROW EXECUTE FUNCTION accounts_user_keep_profile_version();
"""
DROP = """
DROP TRIGGER keep_profile_version ON accounts_user;
DROP FUNCTION accounts_user_keep_profile_version();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
