"""Every check, in the order a person would look: each part after what it stands on."""

from __future__ import annotations

from recommendations.doctor import live, platform, programs
from recommendations.doctor.learning import EXPORT, TRAIN, Learned
from recommendations.doctor.report import Check

DATABASE, REDIS, TABLES = "postgresql", "redis", "migrations"
DATASET, RELEASE, INFERENCE = "dataset", "release", "inference"


def all_checks() -> tuple[Check, ...]:
    """A fresh table: dataset and release are loaded once for all checks of a report."""
    learned = Learned()
    return (
        Check("settings", platform.check_settings),
        Check("folders", platform.check_folders),
        Check(DATABASE, platform.check_postgresql, mend="start the server of DATABASE_URL, or correct it"),
        Check(TABLES, platform.check_migrations, (DATABASE,)),
        Check(REDIS, platform.check_redis, mend="start the server of REDIS_URL, or correct it"),
        Check("redis memory", platform.check_redis_memory, (REDIS,)),
        Check("redis persistence", platform.check_redis_persistence, (REDIS,)),
        Check("clock", platform.check_clock, (DATABASE, REDIS)),
        Check("threads", platform.check_threads),
        Check("disk", platform.check_disk, (DATABASE,)),
        Check("live mark", live.check_ready_mark, (TABLES, DATABASE, REDIS)),
        Check("live profiles", live.check_profiles, (TABLES, DATABASE, REDIS)),
        Check("live catalogue", live.check_catalogue, (TABLES, DATABASE, REDIS)),
        Check(DATASET, learned.check_dataset, mend=EXPORT),
        Check("orientation", learned.check_orientation, (DATASET, TABLES, DATABASE)),
        Check("dislikes", learned.check_dislikes, (DATASET, TABLES, DATABASE)),
        Check(RELEASE, learned.check_release, mend=TRAIN),
        Check("als_v1 files", learned.check_documented_files),
        Check("release age", learned.check_age, (RELEASE, TABLES, DATABASE)),
        Check("quality", learned.check_quality, (RELEASE,)),
        Check("mapping drift", learned.check_drift, (RELEASE, TABLES, DATABASE)),
        Check("opted out", learned.check_opted_out, (RELEASE, TABLES, DATABASE)),
        Check(INFERENCE, programs.check_inference),
        Check("inference key", programs.check_inference_key, (INFERENCE,)),
        Check("routing", programs.check_routing, (INFERENCE, TABLES, DATABASE)),
        Check("workers", programs.check_workers, (REDIS,)),
        Check("queues", programs.check_queues, (REDIS,)),
        Check("beat", programs.check_beat, (REDIS, TABLES, DATABASE)),
        Check("schedule", programs.check_schedule, (TABLES, DATABASE)),
        Check("trainings", programs.check_trainings, (TABLES, DATABASE)),
    )
