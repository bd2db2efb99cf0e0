"""A key's text: it names itself, and a mistyped one is told from an unknown one."""

from __future__ import annotations

import random

from losswatch_server.keys.token import new_token, read_token


def test_a_key_is_read_back_and_its_secret_is_not_what_is_stored() -> None:
    token = new_token()
    assert read_token(token.text) == token == read_token(f"  {token.text}\n")
    assert token.text.startswith(f"lw_{token.id}_")
    assert len(token.digest) == 64
    assert token.secret not in token.digest


def test_two_keys_are_never_the_same_and_a_rotated_one_keeps_its_id() -> None:
    assert len({new_token().text for _ in range(1000)}) == 1000
    old = new_token()
    new = new_token(old.id)
    assert (new.id, new.secret == old.secret) == (old.id, False)


def test_no_key_with_one_character_changed_lost_or_doubled_is_read() -> None:
    draw = random.Random(0)
    for _ in range(300):
        text = new_token().text
        place = draw.randrange(len(text))
        other = draw.choice([c for c in "0aZ_9b-ä" if c != text[place]])
        for wrong in (
            text[:place] + other + text[place + 1 :],
            text[:place] + text[place + 1 :],
            text[:place] + text[place] + text[place:],
        ):
            assert read_token(wrong) is None or wrong == text


def test_what_is_no_key_is_none() -> None:
    for text in ("", "lw_", "Bearer x", "x" * 10_000, "lw_a_b", "lw_" + "a" * 10 + "_" + "0" * 46):
        assert read_token(text) is None
