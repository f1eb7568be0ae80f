"""What everything stands on: settings, PostgreSQL, Redis, clocks, threads, disks."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.redis_client import redis_client
from recommendations.doctor.report import Finding, fail, ok, warn
from recsys.artifacts.layout import current_release_dir

CLOCK_OFF_S, CLOCK_WRONG_S = 2.0, 60.0  # an act more than 5 minutes ahead is refused
GIB = 2**30
RELEASES_FREE = 3  # the one written aside, and two more until old ones are removed


def check_settings() -> Finding:
    """Django's own checks; in production those for deployment too."""
    found = checks.run_checks(include_deployment_checks=settings.ENV.is_production)
    serious = [message for message in found if message.level >= checks.ERROR]
    if serious:
        return fail(f"{serious[0].id}: {serious[0].msg}", serious[0].hint or "correct the setting it names")
    if not settings.ENV.is_production:
        return ok("ENVIRONMENT is development; production refuses weak secrets and asks for keys")
    told = [message for message in found if message.level >= checks.WARNING]
    if told:
        ids = ", ".join(str(message.id) for message in told)
        return warn(f"production, but Django warns of {ids}", "manage.py check --deploy tells each in full")
    return ok("production; secrets, hosts and keys are set")


def check_postgresql() -> Finding:
    """It answers."""
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0].split()[0]
    return ok(f"PostgreSQL {version} answers in {(time.perf_counter() - started) * 1e3:.1f} ms")


def check_migrations() -> Finding:
    """The tables are those of this code."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
        return fail(f"{len(plan)} migrations are not applied: {names}", "manage.py migrate")
    return ok("all applied")


def check_redis() -> Finding:
    """It answers, and which it is."""
    started = time.perf_counter()
    server = redis_client().info("server")
    name = "Valkey" if "valkey_version" in server else "Redis"
    version = server.get("valkey_version") or server.get("redis_version")
    return ok(f"{name} {version} answers in {(time.perf_counter() - started) * 1e3:.1f} ms")


def check_redis_memory() -> Finding:
    """Nothing that was written is thrown away when memory runs short."""
    memory = redis_client().info("memory")
    policy, limit = memory.get("maxmemory_policy", "unknown"), int(memory.get("maxmemory", 0))
    used = int(memory["used_memory"])
    of = (
        f"{used / GIB:.2f} GiB used of {limit / GIB:.2f}" if limit else f"{used / GIB:.2f} GiB used, no limit"
    )
    if policy != "noeviction" and limit:
        return fail(
            f"maxmemory-policy is {policy} ({of}): live profiles and queued tasks are thrown away in silence",
            "set maxmemory-policy noeviction, then manage.py sync_live_profiles",
        )
    if limit and used > 0.8 * limit:
        return warn(f"{of}; writes fail when it is full", "raise maxmemory")
    return ok(f"{of}; {policy}")


def check_redis_persistence() -> Finding:
    """It comes back from a restart with what it held."""
    state = redis_client().info("persistence")
    if state.get("aof_enabled"):
        if state.get("aof_last_write_status") != "ok":
            return fail("the last write of the append-only file failed", "see its log and its disk")
        return ok("append-only file, the last write succeeded")
    if state.get("rdb_last_bgsave_status") != "ok":
        return warn("the last snapshot failed and there is no append-only file", "see its log and its disk")
    saves = redis_client().config_get("save").get("save", "")
    if saves:
        return warn(
            f"snapshots only (save {saves}): a crash loses the writes since the last one",
            "set appendonly yes; after a loss manage.py sync_live_profiles",
        )
    return warn("nothing is kept on disk", "set appendonly yes; after a restart manage.py sync_live_profiles")


def check_clock() -> Finding:
    """Acts are ordered by time, leases expire by it, and what lies ahead is refused."""
    with connection.cursor() as cursor:
        database_s = _difference(lambda: _database_time(cursor))
    redis_s = _difference(_redis_time)
    told = f"PostgreSQL {database_s:+.2f} s, Redis {redis_s:+.2f} s against this machine"
    worst = max(abs(database_s), abs(redis_s))
    mend = "keep the clocks of all machines by NTP"
    if worst > CLOCK_WRONG_S:
        return fail(told, mend)
    return warn(told, mend) if worst > CLOCK_OFF_S else ok(told)


def _difference(ask: Callable[[], float]) -> float:
    """Seconds another clock is ahead, read in the middle of the question."""
    before = time.time()
    there = ask()
    return there - (before + time.time()) / 2


def _database_time(cursor: object) -> float:
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
    return float(cursor.fetchone()[0])


def _redis_time() -> float:
    seconds, microseconds = redis_client().time()
    return int(seconds) + int(microseconds) / 1e6


def check_threads() -> Finding:
    """BLAS on one thread: more only get in the way of the trainers' own and of the requests beside them."""
    variable = os.environ.get("OPENBLAS_NUM_THREADS", "")
    if variable != "1":
        return warn(
            f"OPENBLAS_NUM_THREADS is {variable!r} here",
            "set it to 1, or leave it unset: the project then sets it before NumPy is loaded",
        )
    wide = [pool for pool in _blas_pools() if pool["num_threads"] > 1]
    if wide:
        name, threads = wide[0]["internal_api"], wide[0]["num_threads"]
        return warn(
            f"{name} runs on {threads} threads", "set OPENBLAS_NUM_THREADS=1 where the process starts"
        )
    return ok("BLAS runs on one thread; trainers bring their own")


def _blas_pools() -> list[dict]:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:  # a machine that does not train
        return []
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]


def check_disk() -> Finding:
    """Room for the next releases, and for the database where its folder is on this machine."""
    served = current_release_dir(settings.MODELS_DIR)
    size = _size(served) if served is not None and served.is_dir() else 0
    free = shutil.disk_usage(_existing(settings.MODELS_DIR)).free
    told = f"{free / GIB:.1f} GiB free for releases of {size / 2**20:.0f} MiB"
    if free < 2 * size:
        return fail(told, "make room: publishing writes a whole release aside first")
    database = _database_disk()
    if database is not None:
        held, left = database
        told += f"; {left / GIB:.1f} GiB free beside a database of {held / 2**20:.0f} MiB"
        if left < 0.1 * held:
            return fail(told, "make room: PostgreSQL stops when its disk is full")
    if free < max(RELEASES_FREE * size, GIB):
        return warn(told, "make room soon")
    return ok(told)


def _database_disk() -> tuple[int, int] | None:
    """Bytes of the database and free bytes beside it; None where PostgreSQL is elsewhere or does not tell."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_database_size(current_database()), CASE WHEN "
            "pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END"
        )
        held, folder = cursor.fetchone()
    if folder is None or not Path(folder).is_dir():
        return None
    return held, shutil.disk_usage(folder).free


def check_folders() -> Finding:
    """Data, models and logs can be written."""
    folders = {"RECSYS_DATA_DIR": settings.DATASET_DIR, "RECSYS_MODELS_DIR": settings.MODELS_DIR}
    folders["RECSYS_LOGS_DIR"] = settings.LOGS_DIR
    for variable, folder in folders.items():
        try:
            with tempfile.TemporaryFile(dir=_existing(folder)) as file:
                file.write(b"x")
        except OSError as error:
            return fail(
                f"{variable}: {folder} cannot be written ({error.strerror})",
                "give the account of the worker the right to write there",
            )
    return ok(f"{', '.join(str(folder) for folder in folders.values())} can be written")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it: the first training makes what is missing."""
    folder = Path(folder)
    return next((path for path in (folder, *folder.parents) if path.is_dir()), folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
