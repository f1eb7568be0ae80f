"""Every page of the admin and of the API's documentation, as a browser sees it."""

from __future__ import annotations

import pytest
from browsing import Check, log_in, watch
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page, expect
from running_site import Site

pytestmark = pytest.mark.browser
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


def test_logging_in_leads_to_the_front_page_and_a_wrong_password_says_so(
    page: Page, system: Site, axe: Check
) -> None:
    page.goto("/")
    expect(page).to_have_url(f"{system.backend_url}/admin/login/?next=/admin/")
    axe(page)
    page.get_by_label("Username").fill("root")
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Please enter the correct")).to_be_visible()
    axe(page)

    log_in(page, "root", system.admin_password)

    expect(page).to_have_url(f"{system.backend_url}/admin/overview/")
    axe(page)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_list_and_form_open_without_a_fault(operator: Page, axe: Check, model: type) -> None:
    address = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    operator.goto(reverse(f"{address}_changelist"))
    axe(operator)
    row = operator.locator("#result_list tbody th a").first
    if row.is_visible():
        row.click()
        expect(operator.get_by_role("link", name="History").first).to_be_visible()
        axe(operator)


def test_the_docs_of_both_apis_open_without_a_fault(page: Page, system: Site, axe: Check) -> None:
    for address in (f"{system.backend_url}/api/v1/docs", f"{system.inference_url}/docs"):
        page.goto(address)
        expect(page.locator("#operations-tag-default, .opblock-tag").first).to_be_visible()
        axe(page)


@pytest.mark.parametrize(
    ("script", "event", "fault"),
    [
        ("console.error('a fault')", "console", "a fault"),
        ("setTimeout(() => {throw new Error('an exception')})", "pageerror", "an exception"),
        ("fetch('/no-such-page')", "response", "answered 404"),
        ("fetch('http://127.0.0.1:1/').catch(() => 0)", "requestfailed", "failed: net::ERR_"),
        ("fetch('http://example.org/').catch(() => 0)", "requestfailed", "not on this machine"),
    ],
)
def test_a_fault_in_a_page_is_noticed(page: Page, script: str, event: str, fault: str) -> None:
    other = page.context.new_page()
    other.goto("/health/live")
    faults = watch(other)

    with other.expect_event(event):
        other.evaluate(f"() => {{{script}}}")

    assert any(fault in found for found in faults), faults


def test_what_axe_finds_fails_the_test(page: Page, axe: Check) -> None:
    page.set_content(
        "<html lang='en'><title>Title</title><main><h1>Head</h1><img src='data:,'></main></html>"
    )

    with pytest.raises(AssertionError, match="image-alt"):
        axe(page)
