"""A real Valkey, and a small trained world published as a real release."""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import redis
from hypothesis import settings
from scipy.sparse import csr_matrix

from embedded_services import ensure_services, stop_services
from recsys.artifacts.publish import Trained, publish_release
from recsys.artifacts.release import Release
from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.recommenders.table import make_recommender
from recsys.serving.redis_client import WRITE_TIMEOUT_S, connect

N_USERS, N_ITEMS, N_COLD_ITEMS = 60, 40, 4
ACTS_A_USER = 8
INDUSTRIES = ("Fintech", "Robotics")
TEXTS = ("bank payments lending money", "robot factory welding arms")
SMALL = {
    "popularity": {},
    "content": {"dimensions": 8},
    "als": {"factors": 6, "iterations": 8, "alpha": 10.0, "regularization": 0.1},
    "two_tower": {"dimensions": 8, "epochs": 20, "batch_users": 16, "learning_rate": 0.02},
    "ensemble": {},
}

settings.register_profile("any_machine", deadline=None)  # a busy machine is no failure
settings.load_profile("any_machine")


@pytest.fixture
def connect_to() -> Iterator[Callable[..., redis.Redis]]:
    """Clients like those the services use, closed afterwards."""
    clients: list[redis.Redis] = []

    def connect_to(url: str, timeout_s: float = WRITE_TIMEOUT_S) -> redis.Redis:
        clients.append(connect(url, timeout_s=timeout_s))
        return clients[-1]

    yield connect_to
    for client in clients:
        client.close()


@pytest.fixture
def redis_client(redis_url: str, connect_to: Callable[..., redis.Redis]) -> Iterator[redis.Redis]:
    """A client of the run's own Valkey, emptied before and after: the backend's tests share it."""
    client = connect_to(redis_url)
    client.flushall()
    yield client
    client.flushall()


class StoppableValkey:
    """A server of one test alone, at one address whenever it is up."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.url = ""

    def start(self) -> None:
        self.url = ensure_services(self._home, lambda _: None, names=("valkey",)).redis_url

    def stop(self) -> None:
        stop_services(self._home, ("valkey",), lambda _: None)


@pytest.fixture
def stoppable_valkey() -> Iterator[StoppableValkey]:
    folder = Path(tempfile.mkdtemp(prefix="recs-"))
    folder.chmod(0o755)  # as root the server runs as nobody
    server = StoppableValkey(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


def make_world() -> Dataset:
    """Even users act on even startups (Fintech), odd ones on odd ones (Robotics), up to an hour ago.

    Users u00.. and startups s00..; the last four startups are in the catalogue only, u00 owns
    s02, s36 is inactive.
    """
    rng = np.random.default_rng(11)
    weights = np.zeros((N_USERS, N_ITEMS), np.float32)
    for user in range(N_USERS):
        own = np.flatnonzero(np.arange(N_ITEMS) % 2 == user % 2)
        weights[user, rng.choice(own, size=ACTS_A_USER, replace=False)] = rng.choice(
            [0.5, 2.0, 3.5], ACTS_A_USER
        )
    weights[1, 0] = -1.0
    user_items = csr_matrix(weights)
    times = time.time() - 3600 - rng.uniform(0, 20 * 86_400, user_items.nnz)
    last_event_at = csr_matrix((times, user_items.indices, user_items.indptr), user_items.shape)
    items = tuple(make_startup(index) for index in range(N_ITEMS + N_COLD_ITEMS))
    return Dataset(
        user_items,
        IdMap(f"u{index:02}" for index in range(N_USERS)),
        IdMap(item.id for item in items[:N_ITEMS]),
        last_event_at=last_event_at,
        catalogue=Catalogue(items),
    )


def make_startup(index: int, *, created_at: float = 1.6e9) -> CatalogueItem:
    """Startup number `index` of the world."""
    return CatalogueItem(
        id=f"s{index:02}",
        name=f"Firm {index}",
        short_description=TEXTS[index % 2],
        tags=(INDUSTRIES[index % 2].lower(),),
        industry=INDUSTRIES[index % 2],
        owner_id="u00" if index == 2 else None,
        created_at=created_at,
        is_active=index != 36,
    )


def train(world: Dataset, name: str, *, parts: Iterable[Trained] = (), **overrides: object) -> Trained:
    """A small recommender fitted on a world; `parts` are those it may be put together from."""
    recommender = make_recommender(name, **{**SMALL[name], **overrides})
    recommender.attach({part.recommender.name: part.recommender for part in parts})
    recommender.fit(world)
    score_range = {"mean": 0.5, "std": 0.3}
    return Trained(recommender, vars(recommender.config), 0.0, 0.0, {}, score_range)


@pytest.fixture(scope="session")
def world() -> Dataset:
    return make_world()


@pytest.fixture(scope="session")
def trained_world(world: Dataset) -> tuple[Trained, ...]:
    """Every recommender that is served, in the order of `SMALL`."""
    trained: list[Trained] = []
    for name in SMALL:
        trained.append(train(world, name, parts=trained))
    return tuple(trained)


@pytest.fixture(scope="session")
def published_models(
    world: Dataset, trained_world: tuple[Trained, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A models folder with one release of the world; read only."""
    folder = tmp_path_factory.mktemp("published")
    publish_release(folder, world, trained_world)
    return folder


@pytest.fixture(scope="session")
def models_without_two_tower(
    world: Dataset, trained_world: tuple[Trained, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A models folder as a machine without PyTorch trains it: no two_tower, so no ensemble; read only."""
    folder = tmp_path_factory.mktemp("without-two-tower")
    names = ("popularity", "content", "als")
    publish_release(folder, world, [one for one in trained_world if one.recommender.name in names])
    return folder


@pytest.fixture
def models_dir(published_models: Path, tmp_path: Path) -> Path:
    """A copy of the published models that a test may change or damage."""
    folder = tmp_path / "models"
    shutil.copytree(published_models, folder, symlinks=True)
    return folder


@pytest.fixture
def publish_again(
    models_dir: Path, world: Dataset, trained_world: tuple[Trained, ...]
) -> Callable[[], Release]:
    """Publishes another release of the world into `models_dir`."""
    return lambda: publish_release(models_dir, world, trained_world)


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """Inside it no file of this process takes another byte: writing fails, as on a full disk."""

    @contextmanager
    def full() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # Python ignores the signal
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return full
