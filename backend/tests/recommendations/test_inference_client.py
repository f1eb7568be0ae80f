"""The client's questions, asked of the inference service over HTTP."""

from __future__ import annotations

import pytest

from accounts.models import User
from recommendations.inference import InferenceClient, inference_client
from recsys.errors import InvalidRequestError, UnavailableError
from startups.models import Startup


@pytest.fixture
def warm(world: None) -> str:
    """Who acted on ten startups."""
    return str(User.objects.get(username="demo-warm").pk)


@pytest.mark.parametrize("method", ["popularity", "content", "als", "two_tower", "ensemble"])
def test_every_recommender_can_be_asked_alone(warm: str, method: str) -> None:
    answer = inference_client().recommend(warm, {"method": method, "limit": 5})

    assert (answer["method_used"], answer["interaction_count"]) == (method, 10)
    assert len(answer["startups"]) == 5


def test_similar_startups_of_each_model_and_blended(warm: str) -> None:
    startup_id = inference_client().recommend(warm, {"method": "popularity"})["startups"][0]["id"]

    for method in ("als", "two_tower", "content", "blend"):
        answer = inference_client().similar(startup_id, {"method": method, "limit": 3})
        assert answer["method_used"] == method
        assert len(answer["startups"]) == 3
        assert startup_id not in {one["id"] for one in answer["startups"]}


def test_an_audience_is_of_users_who_have_not_acted(warm: str) -> None:
    startup = Startup.objects.filter(interactions__isnull=False).first()

    answer = inference_client().audience(str(startup.pk), {"limit": 4})

    users = {user["user_id"] for user in answer["users"]}
    assert 0 < len(users) <= 4
    assert not startup.interactions.filter(user_id__in=users).exists()


def test_a_score_is_taken_apart_by_the_method_asked_for(warm: str) -> None:
    listed = inference_client().recommend(warm, {"method": "als"})["startups"][0]

    answer = inference_client().explain(warm, listed["id"], {"method": "als"})

    assert (answer["source"], answer["rank"]) == ("als", listed["rank"])
    shares = sum(act["share"] for act in answer["acts"])
    assert answer["raw_score"] == pytest.approx(shares + answer["other"])


def test_a_startup_nobody_knows_is_an_invalid_request_in_the_services_words(warm: str) -> None:
    for ask in (
        lambda: inference_client().similar("nobody", {}),
        lambda: inference_client().audience("nobody", {}),
        lambda: inference_client().explain(warm, "nobody", {}),
    ):
        with pytest.raises(InvalidRequestError, match="nobody is not known here"):
            ask()


def test_it_says_what_it_serves_and_counts(warm: str) -> None:
    ready = inference_client().ready()
    inference_client().recommend(warm, {})

    assert set(ready["recommenders"]) == {"popularity", "content", "als", "two_tower", "ensemble"}
    assert ready["live_store"] == "synced"
    assert 'recs_answers_total{degraded="no",endpoint="recommend"' in inference_client().metrics()


def test_a_service_that_is_down_is_unavailable_whatever_is_asked() -> None:
    client = InferenceClient("http://127.0.0.1:9", "")  # discard: nothing listens there
    for ask in (
        client.ready,
        client.metrics,
        lambda: client.similar("s", {}),
        lambda: client.audience("s", {}),
        lambda: client.explain("u", "s", {}),
    ):
        with pytest.raises(UnavailableError, match="start it"):
            ask()
    client.close()
