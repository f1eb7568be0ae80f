"""What an operator does on a day, from one page to the next, with everything behind the pages running."""

from __future__ import annotations

import re

import pytest
from browsing import PHONE, Check
from playwright.sync_api import Page, expect
from running_site import Site

pytestmark = pytest.mark.browser

TRAINING_MS = 400_000  # on a busy machine; 20 s on a quiet one
SWAP_MS, POLL_MS = 10_000, 100
PAGES = ("overview", "data", "models", "runs", "explorer")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_of_the_dashboard_is_without_a_fault(
    operator: Page, axe: Check, name: str, scheme: str
) -> None:
    operator.emulate_media(color_scheme=scheme)
    operator.goto(f"/admin/{name}/")
    expect(operator.locator("html")).to_have_class(re.compile("dark" if scheme == "dark" else "^(?!.*dark)"))
    operator.wait_for_load_state("networkidle")
    axe(operator)


@pytest.mark.parametrize("name", PAGES)
def test_on_a_phone_no_page_is_wider_than_the_screen(operator: Page, name: str) -> None:
    operator.set_viewport_size(PHONE)
    operator.goto(f"/admin/{name}/")
    operator.wait_for_load_state("networkidle")

    assert operator.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("width", [PHONE["width"], 1280])
def test_what_searches_have_tried_is_on_the_models_page(operator: Page, axe: Check, width: int) -> None:
    operator.set_viewport_size({"width": width, "height": 900})
    operator.goto("/admin/models/#tuning")
    tuning = operator.locator("#tuning")

    expect(tuning.get_by_role("heading", name="als: the best tries")).to_be_visible()
    expect(tuning.locator("#ndcg-by-try")).to_be_visible()
    expect(tuning.get_by_text("★ chosen factors=").first).to_be_visible()
    expect(tuning.get_by_text("Tested once, fitted on train and validation part: ndcg@10 0.")).to_be_visible()
    expect(tuning.get_by_text("Not tested yet. In a shell: recsys tune bpr --stage fine.")).to_be_visible()
    for table in tuning.get_by_role("region").all():
        assert table.bounding_box()["x"] >= 0  # type: ignore[index]
        assert table.evaluate("box => box.getBoundingClientRect().right") <= width
    axe(operator)


def test_on_a_desktop_no_figure_of_the_models_page_is_out_of_sight(operator: Page) -> None:
    operator.goto("/admin/models/")
    operator.wait_for_load_state("networkidle")

    tables = operator.get_by_role("region", name=re.compile("^Table of ")).all()
    assert len(tables) >= 4
    for table in tables:
        name, hidden = table.evaluate("box => [box.ariaLabel, box.scrollWidth - box.clientWidth]")
        assert hidden <= 0, name


@pytest.mark.timeout(600)
def test_retrain_watch_it_to_its_end_see_the_release_and_roll_back(
    operator: Page, system: Site, axe: Check
) -> None:
    before = served_release(operator)
    # The page asks twenty times a second, not once: a small training does not end between two questions.
    operator.add_init_script("const later = setTimeout; setTimeout = (act, ms) => later(act, ms / 20);")

    operator.goto("/admin/runs/")
    operator.get_by_role("button", name="Retrain now").click()
    expect(operator).to_have_url(re.compile(r"/admin/runs/\d+/$"))
    watch_to_its_end(operator)
    axe(operator)

    operator.get_by_role("link", name="See it among the models").click()
    expect(operator).to_have_url(re.compile(r"/admin/models/\?release="))
    axe(operator)
    made = served_release(operator)
    assert made != before
    wait_until_served(operator, system, made)

    operator.get_by_role("button", name="Roll back").click()
    dialog = operator.get_by_role("dialog")
    expect(dialog).to_contain_text(f"Serve {before} again instead of {made}?")
    axe(operator)
    dialog.get_by_role("button", name="Roll back").click()
    expect(operator.get_by_role("heading", name=f"Release {before} is served")).to_be_visible()
    wait_until_served(operator, system, before)
    changes = operator.get_by_role("region", name="Who served what when").get_by_role("table")
    expect(changes).to_contain_text(before)
    expect(changes).to_contain_text("root")

    operator.goto("/admin/runs/")
    expect(operator.get_by_role("row").filter(has_text=made)).to_contain_text("Succeeded")


@pytest.mark.timeout(600)
def test_a_run_can_be_cancelled_and_what_is_served_stays(operator: Page) -> None:
    before = served_release(operator)
    operator.goto("/admin/runs/")
    operator.get_by_role("button", name="Retrain now").click()
    operator.get_by_role("button", name="Cancel the run").click()
    operator.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()

    expect(operator.locator("[data-shows=status]")).to_contain_text("Cancelled", timeout=TRAINING_MS)
    assert served_release(operator) == before


def test_explore_a_user_dislike_and_see_every_list_change(operator: Page, axe: Check) -> None:
    operator.goto("/admin/explorer/")
    operator.get_by_role("searchbox", name="A user or a startup").fill("demo-wa")
    operator.get_by_role("link", name="demo-warm").click()
    expect(operator.get_by_role("heading", name="demo-warm", exact=True)).to_be_visible()
    axe(operator)

    routed = operator.locator("[data-list=routed]")
    first = routed.get_by_role("listitem").first
    disliked = first.get_attribute("data-startup")
    name = first.get_by_role("link").first.inner_text()
    first.get_by_role("link", name=f"Why {name}?").click()
    expect(operator.locator("#why")).to_contain_text(name)
    axe(operator)

    first.get_by_role("button", name=f"Dislike {name}").click()
    expect(operator.get_by_role("status").filter(has_text="Since")).to_be_visible()
    expect(routed.locator(f"[data-startup='{disliked}']")).to_have_count(0)
    expect(routed).to_contain_text(f"Gone: {name} (was 1)")
    axe(operator)

    history = operator.get_by_role("region", name="What demo-warm did").first
    history.get_by_role("button", name=f"Take back: dislike of {name}").click()
    expect(routed.locator(f"[data-startup='{disliked}']")).to_have_count(1)

    routed.get_by_role("listitem").first.get_by_role("link").first.click()
    expect(operator).to_have_url(re.compile(r"/admin/explorer/startups/"))
    axe(operator)


def test_the_schedule_is_edited_and_one_that_cannot_work_is_refused_at_its_field(
    operator: Page, axe: Check
) -> None:
    operator.goto("/admin/django_celery_beat/crontabschedule/add/")
    operator.get_by_label("Minute(s)").fill("99")
    operator.get_by_label("Hour(s)").fill("4")
    operator.get_by_label("Day(s) Of The Week").fill("0")
    operator.get_by_role("button", name="Save", exact=True).click()
    expect(operator.get_by_text("'99', not in 0-59 for Minutes")).to_be_visible()
    axe(operator)
    operator.get_by_label("Minute(s)").fill("30")
    operator.get_by_role("button", name="Save", exact=True).click()
    expect(operator.get_by_text("was added successfully")).to_be_visible()

    operator.goto("/admin/django_celery_beat/periodictask/")
    operator.get_by_role("link", name="Weekly training").click()
    crontab = operator.get_by_label("Crontab Schedule")
    crontab.select_option(crontab.locator("option", has_text="30 4 * * 0").first.get_attribute("value"))
    operator.get_by_role("button", name="Save", exact=True).click()
    expect(operator.get_by_text("was changed successfully")).to_be_visible()

    operator.goto("/admin/overview/")
    expect(operator.get_by_text(re.compile("04:30")).first).to_be_visible()


def watch_to_its_end(page: Page) -> None:
    """The bar moves, never back, and is full when the run has succeeded."""
    bar = page.get_by_role("progressbar", name="Progress of the run")
    bar.evaluate(
        """bar => {
            window.percents = [];
            const note = () => window.percents.push(Number(bar.getAttribute('aria-valuenow')));
            new MutationObserver(note).observe(bar, {attributes: true});
        }"""
    )
    expect(page.locator("[data-shows=status]")).to_contain_text("Succeeded", timeout=TRAINING_MS)
    percents = page.evaluate("window.percents")
    assert percents == sorted(percents)
    assert any(0 < percent < 100 for percent in percents)
    assert percents[-1] == 100


def served_release(page: Page) -> str:
    """The release that the models page says is served."""
    page.goto("/admin/models/")
    heading = page.get_by_role("heading", name=re.compile(r"^Release \S+ is served$"))
    return heading.inner_text().split()[1]


def wait_until_served(page: Page, system: Site, version: str) -> None:
    """The inference service answers from this release soon."""
    for _ in range(SWAP_MS // POLL_MS):
        ready = page.request.get(f"{system.inference_url}/health/ready").json()
        if ready["model_version"] == version:
            return
        page.wait_for_timeout(POLL_MS)
    pytest.fail(f"The service still serves {ready['model_version']}, not {version}.")
