"""The rating recommenders by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recsys.errors import ConfigError
from recsys.recommenders.rating_table import RATING_RECOMMENDERS, make_rating_recommender


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no rating recommender 'als'; there are svd, mf, feature_als"):
        make_rating_recommender("als")


def test_the_table_itself_imports_none_of_them() -> None:
    modules = [module for module, _, _ in RATING_RECOMMENDERS.values()]
    script = (
        f"import sys, recsys.recommenders.rating_table; print([m for m in {modules} if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "[]"
