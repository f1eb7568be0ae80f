"""The layout of the public CSV files of Y Combinator companies."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator

SOURCE = "yc"
COLUMNS = (
    *("company_id", "company_name", "short_description", "long_description", "batch", "status", "tags"),
    *("location", "country", "team_size", "website"),
)
BATCH = re.compile(r"(?P<season>[A-Z]+)(?P<year>\d{2})")
MONTH_OF_SEASON = {"W": 1, "IK": 1, "S": 6, "F": 9}
# The files know tags only. A company's industry is that of its first tag that names one; what uses
# artificial intelligence for something is in that something's industry.
GENERAL = "AI and data"
TAGS_OF_INDUSTRY = {
    "Fintech": """fintech payments neobank investing insurance finance lending banking-as-a-service finops
        consumer-finance payroll regtech crowdfunding crypto-web3 defi nft trading remittances""",
    "Health": """healthcare health-tech consumer-health-services digital-health medical-devices telemedicine
        mental-health-tech telehealth diagnostics health-insurance healthcare-it health-wellness fitness""",
    "Biotech": """biotech therapeutics drug-discovery ai-powered-drug-discovery genomics synthetic-biology
        oncology gene-therapy biotechnology neurotechnology cell-therapy""",
    "Climate": """climate climatetech energy solar-power renewable-energy carbon-capture-and-removal
        energy-storage sustainability electric-vehicles""",
    "Developer tools": """developer-tools devops data-engineering databases open-source infrastructure
        kubernetes cloud-computing web-development api monitoring aiops""",
    "Security": "security cybersecurity devsecops identity privacy compliance fraud-detection",
    "Education": "education elearning edtech ai-enhanced-learning kids",
    "Food": "food-tech grocery food-beverage ghost-kitchens restaurant-tech agriculture",
    "Logistics": """logistics supply-chain delivery warehouse-management-tech procurement
        digital-freight-brokerage""",
    "Mobility": "transportation automotive autonomous-trucking drones travel mobility airplanes",
    "Robotics and hardware": """robotics hardware hard-tech iot manufacturing aerospace satellites
        space-exploration 3d-printing""",
    "Property": "proptech real-estate construction housing home-services",
    "Commerce": "e-commerce retail fashion retail-tech subscriptions beauty apparel",
    "Media": """gaming video entertainment media music creator-economy podcasts social social-media
        social-network community dating messaging sports-tech""",
    "Work": """hr-tech recruiting human-resources productivity collaboration remote-work
        team-collaboration legaltech legal""",
    "Sales and marketing": """sales marketing advertising customer-success customer-support crm
        sales-enablement""",
    "Government": "govtech civic-tech nonprofit",
    GENERAL: """artificial-intelligence ai machine-learning generative-ai analytics ai-assistant
        computer-vision deep-learning nlp data-science big-data""",
}
INDUSTRY_OF_TAG = {tag: industry for industry, tags in TAGS_OF_INDUSTRY.items() for tag in tags.split()}


def has_layout(columns: Collection[str]) -> bool:
    """True for the columns of such a file."""
    return set(COLUMNS) <= set(columns)


def as_plain_row(row: Mapping[str, str]) -> dict[str, str]:
    """A row as the documented plain file would have it.

    Raises:
        ValueError: a value is not what such a file holds there.
    """
    tags = _parse_tags(row["tags"])
    return {
        "id": row["company_id"],
        "name": row["company_name"],
        "short_description": row["short_description"],
        "long_description": row["long_description"],
        "tags": "|".join(tags),
        "industry": _industry(tags),
        "country": row["country"],
        "city": row["location"].partition(",")[0].strip(),
        "stage": row["status"].strip().lower(),
        "team_size": row["team_size"].removesuffix(".0"),
        "website": _usable_url(row["website"].strip()),
        "is_active": "no" if row["status"].strip() == "Inactive" else "yes",
        "created_at": _first_day(row["batch"]).isoformat(),
    }


def _parse_tags(text: str) -> list[str]:
    """The tags of a Python list literal; "Crypto / Web3" and "crypto-web3" are the same one."""
    try:
        literal: Any = ast.literal_eval(text) if text.strip() else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        literal = None
    if not isinstance(literal, list) or not all(isinstance(tag, str) for tag in literal):
        raise ValueError(f"tags: {text[:60]!r} is not a list of texts like ['SaaS', 'B2B']")
    return [tag for tag in (re.sub(r"[\W_]+", "-", tag.lower()).strip("-") for tag in literal) if tag]


def _industry(tags: Sequence[str]) -> str:
    named = [INDUSTRY_OF_TAG[tag] for tag in tags if tag in INDUSTRY_OF_TAG]
    return next((industry for industry in named if industry != GENERAL), named[0] if named else "")


def _usable_url(url: str) -> str:
    """The address, or nothing: some rows hold "https://" or a sentence."""
    try:
        URLValidator()(url)
    except ValidationError:
        return ""
    return url


def _first_day(batch: str) -> datetime:
    """The first day of a batch such as W23."""
    found = BATCH.fullmatch(batch.strip())
    if found is None or found["season"] not in MONTH_OF_SEASON:
        raise ValueError(f"batch: {batch!r} is not one like W23 or S22")
    return datetime(2000 + int(found["year"]), MONTH_OF_SEASON[found["season"]], 1, tzinfo=UTC)
