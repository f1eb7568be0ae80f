"""How the admin looks: its title and a sidebar in the order an operator thinks in."""

from django.urls import reverse_lazy

SITE_TITLE = "Startup recommendations"
# Within the page: without one, browsers ask for /favicon.ico, which is not there.
ICON = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>"
    "<rect width='16' height='16' rx='4' fill='%239333ea'/><path d='M8 3l3 5H9v5H7V8H5z' fill='white'/></svg>"
)


def _link(title: str, icon: str, model: str) -> dict[str, object]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{model}_changelist")}


def _page(title: str, icon: str, name: str) -> dict[str, object]:
    link = reverse_lazy(f"dashboard:{name}")
    return {"title": title, "icon": icon, "link": link, "permission": "dashboard.pages.may_view"}


UNFOLD = {
    "SITE_TITLE": SITE_TITLE,
    "SITE_HEADER": SITE_TITLE,
    "SITE_SYMBOL": "rocket_launch",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": ICON}],
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "Dashboard",
                "items": [
                    _page("Overview", "monitoring", "overview"),
                    _page("Models", "trophy", "models"),
                    _page("Runs", "play_circle", "runs"),
                    _page("Data", "database", "data"),
                    _page("Explorer", "travel_explore", "explorer"),
                ],
            },
            {
                "title": "What people do",
                "separator": True,
                "items": [
                    _link("Interactions", "touch_app", "interactions_userinteraction"),
                    _link("Startups", "business", "startups_startup"),
                    _link("Signal weights", "balance", "interactions_signalweights"),
                    _link("Writes lost to Redis", "sync_problem", "interactions_lostlivewrite"),
                ],
            },
            {
                "title": "What is learned",
                "separator": True,
                "items": [
                    _link("Release changes", "history", "recommendations_releasechange"),
                    _link("Schedule", "schedule", "django_celery_beat_periodictask"),
                    _link("Crontabs", "calendar_month", "django_celery_beat_crontabschedule"),
                    _link("Intervals", "timer", "django_celery_beat_intervalschedule"),
                    _link("One-off times", "event", "django_celery_beat_clockedschedule"),
                    _link("Sun times", "sunny", "django_celery_beat_solarschedule"),
                ],
            },
            {
                "title": "Who may",
                "separator": True,
                "items": [
                    _link("Users", "person", "accounts_user"),
                    _link("Groups", "group", "auth_group"),
                    _link("API keys", "key", "accounts_apikey"),
                ],
            },
        ],
    },
}
