"""The guard before a public bucket: what looks like a secret is not sent there.

Owns the verdict and when it is asked for. The rules are `plan.secrets`'s; what the bucket is, the store says. Asking loads the
SDK, looking into texts costs a little for each: so the store is asked at the first file that a rule has caught, or once looking
has cost about as much as asking does (docs/adr/0007-secrets-guard.md). Not to be able to tell counts as public: what is
refused by mistake can be let through, what was published can't be taken back.
"""

import asyncio
from collections.abc import Callable

from asyncmirror.errors import SecretError, StoreError
from asyncmirror.model import Visibility
from asyncmirror.plan import secrets
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Rule, Secrets, Settings
from asyncmirror.sizes import MIB
from asyncmirror.store.port import Store

_TEXT_BEFORE_ASKING = 64 * MIB
"""Bytes of text, in small files: looking into them takes as long as loading the SDK and asking, some 0.3 s."""
_PUBLIC_ACLS = frozenset({"public-read", "public-read-write", "authenticated-read"})
"""Canned ACLs that show an object to everybody, whatever the bucket is. Source: Amazon S3 User Guide, "Canned ACL"."""
_SAID = {
    Visibility.PUBLIC: "the bucket is public",
    Visibility.UNKNOWN: "the store does not tell whether the bucket is public",
}
_UNTOLD = (
    "the store does not tell whether the bucket is public: files that look like secrets are refused"
    " (--secrets off, if it is private; docs/secrets.md)"
)


class Word:
    """What the user says of secrets, whatever a store would say.

    Attributes:
        visibility: What the bucket is, by that; None: only the store knows.
    """

    def __init__(self, settings: Settings) -> None:
        self._allowed = Filters([Rule(include=False, pattern=pattern) for pattern in settings.allow_secrets])
        public = settings.public or settings.objects.acl in _PUBLIC_ACLS
        self.visibility = Visibility.PUBLIC if public else None

    def allows(self, path: bytes) -> bool:
        """Whether somebody has looked at this file, and wants it sent."""
        return bool(self._allowed.excludes(path))


def refusal(rule: str, visibility: Visibility) -> SecretError:
    """Why a file that this rule has caught is not sent to such a bucket."""
    return SecretError(
        f"looks like a secret: {secrets.WHAT[rule]} (rule {rule}), and {_SAID[visibility]}",
        hint="look at it; --allow-secrets PATTERN lets it through",
    )


class Guard:
    """One for a run, or for each of its processes.

    Args:
        settings: What the user wants.
        store: Who is asked.
        notice: Told where the store does not say.
    """

    def __init__(self, settings: Settings, store: Store, notice: Callable[[str], None]) -> None:
        self._store = store
        self._notice = notice
        self._word = Word(settings)
        self._visibility = self._word.visibility
        self._off = settings.secrets is Secrets.OFF
        self._asking = asyncio.Lock()
        self._looked_at = 0

    def look(self, data: bytes) -> str:
        """The name of the rule that catches what a file contains; empty where none does, or where nobody wants to know.

        Called from threads as well; it blocks for no longer than the reading did.
        """
        if self._off or not secrets.is_text(data):
            return ""
        self._looked_at += len(data)
        return secrets.by_content(data)

    async def pass_through(self, path: bytes, rule: str) -> None:
        """Let a file through, or not.

        Args:
            path: Where it stands below the source.
            rule: The rule that caught it; empty where none did.

        Raises:
            SecretError: It must not be sent.
            StoreError: The store can't be asked, for a reason that ends the run.
        """
        if self._off:
            return
        if not rule:
            if self._visibility is None and self._looked_at > _TEXT_BEFORE_ASKING:
                await self._ask()
            return
        if self._word.allows(path):
            return
        visibility = self._visibility or await self._ask()
        if visibility is not Visibility.PRIVATE:
            raise refusal(rule, visibility)

    async def _ask(self) -> Visibility:
        """Ask the store, once."""
        async with self._asking:
            if self._visibility is None:
                try:
                    self._visibility = await self._store.visibility()
                except StoreError as error:
                    if error.fatal:
                        raise
                    self._visibility = Visibility.UNKNOWN
                if self._visibility is Visibility.UNKNOWN:
                    self._notice(_UNTOLD)
                self._off = self._visibility is Visibility.PRIVATE
            return self._visibility
