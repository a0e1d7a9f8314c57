"""When the store is asked whether its bucket is public, and what follows from the answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncmirror.errors import AccessDeniedError, BucketError, SecretError, StoreError
from asyncmirror.model import Visibility
from asyncmirror.settings import Destination, ObjectOptions, Secrets, Settings
from asyncmirror.store.memory import MemoryStore
from asyncmirror.transfer import guard as guards
from asyncmirror.transfer.guard import Guard

SETTINGS = Settings(Path("/tree"), Destination("box"))
KEY = b"-----BEGIN PRIVATE KEY-----\n" + b"MIIEpAIBAAKCAQEA1c7+9z5Pad7OejecsQ0bu3aozN3tihPmljnnudb9G3HECdnH"


class Asked(MemoryStore):
    """A store that counts how often it was asked, and answers late."""

    def __init__(self, answer: Visibility | StoreError) -> None:
        super().__init__()
        self.answer = answer
        self.asked = 0

    async def visibility(self) -> Visibility:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, StoreError):
            raise self.answer
        return self.answer


def make(store: Asked, tell: Callable[[str], None] = print, settings: Settings = SETTINGS) -> Guard:
    return Guard(settings, store, tell)


async def test_nobody_is_asked_for_what_no_rule_caught() -> None:
    store = Asked(Visibility.PUBLIC)
    guard = make(store)
    assert guard.look(b"SIMPLE  =") == ""
    await guard.pass_through(b"a.fits", "")
    assert store.asked == 0


async def test_a_public_bucket_gets_no_secret_and_is_asked_once() -> None:
    store, told = Asked(Visibility.PUBLIC), list[str]()
    guard = make(store, told.append)
    assert guard.look(KEY) == "private-key"
    results = await asyncio.gather(
        *(guard.pass_through(b"key", "private-key") for _ in range(5)),
        guard.pass_through(b"a.fits", ""),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [SecretError] * 5 + [type(None)]
    assert str(results[0]) == (
        "looks like a secret: a private key (rule private-key), and the bucket is public"
        " (look at it; --allow-secrets PATTERN lets it through)"
    )
    assert store.asked == 1
    assert told == []


async def test_a_private_bucket_takes_all_and_nothing_is_looked_into_any_more() -> None:
    store = Asked(Visibility.PRIVATE)
    guard = make(store)
    await guard.pass_through(b".env", "dotenv")
    await guard.pass_through(b".env", "dotenv")
    assert guard.look(KEY) == ""
    assert store.asked == 1


@pytest.mark.parametrize("answer", [Visibility.UNKNOWN, AccessDeniedError("denied")])
async def test_not_to_be_told_is_as_public_and_is_said_once(answer: Visibility | StoreError) -> None:
    told = list[str]()
    guard = make(Asked(answer), told.append)
    for _ in range(2):
        with pytest.raises(SecretError, match="does not tell whether the bucket is public"):
            await guard.pass_through(b".env", "dotenv")
    assert len(told) == 1
    assert "--secrets off" in told[0]


async def test_a_store_that_can_not_be_asked_ends_the_run() -> None:
    guard = make(Asked(BucketError("NoSuchBucket")))
    with pytest.raises(BucketError):
        await guard.pass_through(b".env", "dotenv")


@pytest.mark.parametrize("settings", [{"public": True}, {"objects": ObjectOptions(acl="public-read")}], ids=["flag", "acl"])
async def test_who_says_that_it_is_public_need_not_ask(settings: dict[str, object]) -> None:
    store = Asked(Visibility.PRIVATE)
    guard = make(store, settings=Settings(Path("/tree"), Destination("box"), **settings))  # type: ignore[arg-type]  # by name
    with pytest.raises(SecretError, match="the bucket is public"):
        await guard.pass_through(b".env", "dotenv")
    assert store.asked == 0


async def test_what_a_person_has_looked_at_passes() -> None:
    store = Asked(Visibility.PUBLIC)
    guard = make(store, settings=Settings(Path("/tree"), Destination("box"), allow_secrets=("*.pem", "/config/")))
    await guard.pass_through(b"a/ca.pem", "private-key")
    await guard.pass_through(b"config/.env", "dotenv")
    assert store.asked == 0
    with pytest.raises(SecretError):
        await guard.pass_through(b"a/config/.env", "dotenv")


async def test_a_guard_that_is_off_looks_at_nothing() -> None:
    store = Asked(Visibility.PUBLIC)
    guard = make(store, settings=Settings(Path("/tree"), Destination("box"), secrets=Secrets.OFF, public=True))
    assert guard.look(KEY) == ""
    await guard.pass_through(b".env", "dotenv")
    assert store.asked == 0


async def test_much_text_is_worth_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "_TEXT_BEFORE_ASKING", 100)
    store = Asked(Visibility.PRIVATE)
    guard = make(store)
    guard.look(bytes(1000))  # binary: costs nothing
    guard.look(b"a" * 60)
    await guard.pass_through(b"a", "")
    assert store.asked == 0
    guard.look(b"a" * 60)
    await guard.pass_through(b"a", "")
    await guard.pass_through(b"a", "")
    assert store.asked == 1
    assert guard.look(KEY) == ""
