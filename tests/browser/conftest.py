"""A real Chromium in front of the whole system: site, inference service, both workers and beat."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import DESKTOP, Check, describe, log_in, watch
from playwright.sync_api import Browser, Page, sync_playwright
from running_site import ROOT, Site, run, start

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm of a container holds 64 MB
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # A request that leaves this machine fails its test; this way it also reaches nobody.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
SCREENSHOTS = ROOT / ".run" / "browser"
TIMEOUT_MS = 20_000
SEVERE = ("serious", "critical")  # of axe's impacts
# What cannot be mended from here: the colours of Swagger, the markup of two of Django's own widgets, and
# unfold's icons, which are drawn by a font and so taken for words of too little contrast.
NOT_OURS = {
    "exclude": [
        ["#swagger-ui"],
        [".select2-container"],
        [".selector-filter"],
        [".material-symbols-outlined"],
    ]
}
PROGRAMS = {
    "worker": ("worker", "--queues", "default", "--hostname", "worker@%h", "--concurrency", "1"),
    "trainer": ("worker", "--queues", "train", "--hostname", "trainer@%h", "--concurrency", "1"),
    "beat": ("beat", "--pidfile", ""),
}

failed_tests = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remember for the page's fixture that its test failed."""
    report = yield
    item.stash[failed_tests] = item.stash.get(failed_tests, False) or report.failed
    return report


@pytest.fixture(scope="session")
def system(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site with what works behind it: a worker for each queue, and beat."""
    logs = tmp_path_factory.mktemp("celery")
    with ExitStack() as stack:
        for name, arguments in PROGRAMS.items():
            command = ("celery", "-A", "config", *arguments)
            start(stack, site.environment, ROOT / "backend", logs / f"{name}.log", *command)
        search(site)
        yield site


def search(site: Site) -> None:
    """A small search of als to its end and one of bpr that is not, for the models page to show."""
    data = ("--data", site.environment["RECSYS_DATA_DIR"])
    for name, stage in (
        (
            "als",
            ("coarse", "--grid", "factors=4,8,16", "alpha=1,10,40", "regularization=1,10", "iterations=5"),
        ),
        ("als", ("fine", "--trials", "6")),
        ("als", ("validate",)),
        ("bpr", ("coarse", "--grid", "factors=8,16", "learning_rate=0.02,0.05", "epochs=10")),
    ):
        run(site.environment, ROOT, "-m", "recsys.cli", "tune", name, *data, "--stage", *stage)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is; without one the test is skipped, in continuous integration it fails."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is not None:
        return path
    missing = "No Chromium on this machine; on Debian: apt-get install --no-install-recommends chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """One Chromium a file: Playwright's event loop must not run while Django's own tests do."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, system: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page without cookies; whatever goes wrong in it fails the test, and its picture is kept."""
    context = browser.new_context(base_url=system.backend_url, viewport=DESKTOP)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    faults = watch(page)
    yield page
    if request.node.stash.get(failed_tests, False) or faults:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{file_name(request.node.name)}.png", full_page=True)
    context.close()
    assert not faults, "\n".join(faults)


@pytest.fixture
def operator(page: Page, system: Site) -> Page:
    """A page that the superuser has logged in to."""
    log_in(page, "root", system.admin_password)
    return page


@pytest.fixture(scope="session")
def axe() -> Check:
    """Fails on every serious or critical violation of accessibility that axe-core finds in the page."""
    engine = Axe()

    def check(page: Page) -> None:
        found = engine.run(page, NOT_OURS).response["violations"]
        severe = [violation for violation in found if violation["impact"] in SEVERE]
        assert not severe, "\n".join(describe(page.url, violation) for violation in severe)

    return check


def file_name(test: str) -> str:
    """The name of a test, as that of a file."""
    return "".join(char if char.isalnum() else "_" for char in test)
