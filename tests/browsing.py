"""What the tests in a browser share: logging in, and noticing what nobody would see on a screenshot."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, Response, expect

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
HERE = "127.0.0.1"
WITHOUT_NETWORK = ("data", "blob", "about")
SHOWN_AT_MOST = 5

Check: TypeAlias = Callable[[Page], None]


def log_in(page: Page, username: str, password: str) -> None:
    """Through the form, as a person does."""
    page.goto("/admin/login/?next=/admin/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page).not_to_have_url(re.compile("/admin/login/"))


def watch(page: Page) -> list[str]:
    """A list that fills with errors in the console, exceptions, failed requests, and requests elsewhere."""
    faults: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(f"Console of {page.url}: {message.text}")

    def on_request(request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in WITHOUT_NETWORK and address.hostname != HERE:
            faults.append(f"{page.url} asked for {request.url}, which is not on this machine")

    def on_request_failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # what a page still asked for when it was left
            faults.append(f"{request.method} {request.url} failed: {request.failure}")

    def on_response(response: Response) -> None:
        if response.status >= 400:
            faults.append(f"{response.request.method} {response.url} answered {response.status}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: faults.append(f"{page.url} raised {error}"))
    page.on("request", on_request)
    page.on("requestfailed", on_request_failed)
    page.on("response", on_response)
    return faults


def describe(url: str, violation: dict[str, Any]) -> str:
    """What axe-core found, and the first places."""
    nodes = violation["nodes"]
    title = f"{url}: {violation['id']} ({violation['impact']}), {len(nodes)} times: {violation['help']}"
    places = [f"  {node['html'][:200]}\n    {node['failureSummary']}" for node in nodes[:SHOWN_AT_MOST]]
    return "\n".join([title, *places])
