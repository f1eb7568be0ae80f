"""What a review's words are worth: a table worked out by hand, then what holds for every text."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.comment_quality import SENTIMENT_WORDS, comment_qualities, comment_quality

LN_41 = math.log(41)
FORTY = " ".join(a + b for a in "bcdfghjk" for b in ("ra", "le", "mo", "ni", "tu"))
ANY_TEXT = st.text(max_size=80)
LATIN_WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=9).filter(
    lambda word: not any(word[i] == word[i + 1] == word[i + 2] for i in range(len(word) - 2))
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0.0),
        ("   \n", 0.0),
        ("!!!!! 😀😀😀 12345", 0.0),
        ("https://spam.example/buy", 0.0),
        # one word of the lists: ln 2 / ln 41 of the length, a third of the sentiment
        ("good", 0.6 * math.log(2) / LN_41 + 0.4 / 3),
        # "god", for what stretching hides is not guessed, has 3 of 5 signs, and 0.6 suffices
        ("Goood", 0.6 * math.log(2) / LN_41),
        # "love", 4 of 8 signs
        ("LOVEEEE!", (0.5 / 0.6) * (0.6 * math.log(2) / LN_41 + 0.4 / 3)),
        # two words, neither in the lists, 100 % letters
        ("blue chair", 0.6 * math.log(3) / LN_41),
        # eight times the same: 1 of 8 words is new, a quarter of what suffices
        ("good " * 8, 0.25 * (0.6 * math.log(2) / LN_41 + 0.4 / 3)),
        # 4 letters among 16 signs: 0.25 of 0.6
        ("good😀😀😀😀😀😀😀😀😀😀😀😀", (0.25 / 0.6) * (0.6 * math.log(2) / LN_41 + 0.4 / 3)),
        ("Đẹp, bền, rẻ", 0.6 * math.log(4) / LN_41 + 0.4),
        (FORTY, 0.6),
        (FORTY + " great sturdy slow", 1.0),
    ],
)
def test_the_quality_is_the_one_worked_out_by_hand(text: str, expected: float) -> None:
    assert comment_quality(text) == pytest.approx(expected)


@given(ANY_TEXT)
def test_it_lies_from_0_to_1_and_is_0_without_a_letter(text: str) -> None:
    quality = comment_quality(text)

    assert 0.0 <= quality <= 1.0
    if not any(sign.isalnum() for sign in unicodedata.normalize("NFC", text)):
        assert quality == 0.0


@given(ANY_TEXT, LATIN_WORDS)
def test_a_new_word_at_the_end_never_lowers_it(text: str, word: str) -> None:
    if word not in text.casefold():
        assert comment_quality(f"{text} {word}") >= comment_quality(text) - 1e-12


@given(ANY_TEXT)
def test_saying_it_again_never_raises_it(text: str) -> None:
    assert comment_quality(f"{text} {text}") <= comment_quality(text) + 1e-12


@given(LATIN_WORDS, st.integers(20, 200))
def test_one_word_over_and_over_is_next_to_nothing(word: str, times: int) -> None:
    assert comment_quality(f"{word} " * times) < 0.05


def test_a_review_that_tells_is_worth_more_than_praise() -> None:
    told = (
        "Two weeks in: the fabric is soft, the zip is sturdy and the colour matches the photo, but the left "
        "strap came loose after a day in the rain."
    )
    assert comment_quality(told) > 0.85
    assert comment_quality("Great product!!!") < comment_quality(told) / 2


def test_a_letter_and_its_accent_apart_are_the_same_text() -> None:
    assert comment_quality(unicodedata.normalize("NFD", "tuyệt đẹp")) == comment_quality("tuyệt đẹp")


def test_many_texts_are_as_one_by_one() -> None:
    texts = ["good", None, "", "good", "blue chair"]

    qualities = comment_qualities(texts)

    assert qualities.dtype == "float32"
    assert qualities.tolist() == pytest.approx([comment_quality(text or "") for text in texts])


def test_the_lists_hold_words_as_they_are_looked_up() -> None:
    for word in SENTIMENT_WORDS:
        assert word == unicodedata.normalize("NFC", word).casefold()
        assert word.isalpha()
