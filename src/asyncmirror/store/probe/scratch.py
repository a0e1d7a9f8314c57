"""The objects and uploads that a probe makes, and that they are gone afterwards.

Owns where they lie, what was made of them, and their removal: all versions, where the bucket keeps any. Nothing is written
before it is known that it can be removed. Knows nothing of what is found out with them.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from asyncmirror.errors import StoreError
from asyncmirror.settings import ObjectOptions
from asyncmirror.store.probe.judge import is_gone, is_success, shown
from asyncmirror.store.wire.answer import Answer
from asyncmirror.store.wire.document import parse
from asyncmirror.store.wire.head import object_headers
from asyncmirror.store.wire.request import Request

PLACE = ".asyncmirror-probe"
"""The directory below the destination's prefix that probes write in."""
_CLEANING = 5.0
"""Seconds for removing what was made."""
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


class Asking(Protocol):
    """What is needed of `wire.plane.Wire`."""

    async def ask(self, request: Request) -> Answer:
        """Send a request; whatever is answered is given."""
        ...


class Scratch:
    """A place in a bucket.

    Args:
        wire: Whom to ask.
        prefix: The destination's, without slashes at its ends.
        nonce: Distinguishes this probe's objects.
        objects: What is asked of the store for every object. The storage class is left out: some are charged for months.

    Attributes:
        requests: Requests sent.
        left: Keys that could not be removed.
        fault: What kept the last request from being answered; empty where none was.
    """

    def __init__(self, wire: Asking, prefix: str, nonce: str, objects: ObjectOptions) -> None:
        self.requests = 0
        self.left: tuple[str, ...] = ()
        self.fault = ""
        self._wire = wire
        self._base = "/".join(part for part in (prefix, PLACE, nonce) if part) + "/"
        self._headers = object_headers(replace(objects, storage_class=None, overwrite=True))
        self._payer = {name: value for name, value in self._headers.items() if name == "x-amz-request-payer"}
        self._made: dict[str, set[str]] = {}
        self._uploads: dict[str, str] = {}

    def key(self, name: str) -> str:
        """The key of one object."""
        return self._base + name

    async def ask(self, request: Request) -> Answer | None:
        """Send a request; None where there is no answer."""
        self.requests += 1
        try:
            return await self._wire.ask(request._replace(headers={**self._payer, **request.headers}))
        except StoreError as error:
            self.fault = str(error)
            return None

    async def check(self) -> str:
        """Find out whether what is written can be removed again; gives why not, empty if it can.

        Removing what is not there tells whether removing is allowed, and by the marker that it leaves, whether versions are
        kept.
        """
        key = self.key("object")
        said = await self.ask(Request("DELETE", key))
        if said is None:
            return f"no answer: {self.fault}"
        if not is_gone(said):
            return f"these credentials can't remove objects: {shown(said)}"
        version = _version(said)
        if not version:
            return ""
        removed = await self.ask(Request("DELETE", key, (("versionId", version),)))
        if not is_success(removed):
            self.left = (*self.left, f"{key} (a delete marker)")
            return "the bucket keeps versions, and these credentials can't remove them"
        locked = await self.ask(Request("GET", "", (("object-lock", ""),)))
        if locked is not None and locked.success and b"<DefaultRetention>" in locked.body:
            return "the bucket locks every object for a time, so that it could not be removed"
        return ""

    async def put(
        self, name: str, body: bytes, headers: Mapping[str, str] | None = None, payload: str | None = None
    ) -> Answer | None:
        """PutObject."""
        key = self.key(name)
        versions = self._made.setdefault(key, set())
        said = await self.ask(Request("PUT", key, (), {**self._headers, **(headers or {})}, body, payload))
        return self._note(key, versions, said)

    async def get(self, name: str) -> Answer | None:
        """GetObject, with its checksum."""
        return await self.ask(Request("GET", self.key(name), (), {"x-amz-checksum-mode": "ENABLED"}))

    async def create(self, name: str, headers: Mapping[str, str]) -> str:
        """CreateMultipartUpload; gives the upload id, empty where there is none."""
        key = self.key(name)
        said = await self.ask(Request("POST", key, (("uploads", ""),), {**self._headers, **headers}))
        document = parse(said.body) if said is not None and said.success else None
        upload_id = "" if document is None else document.texts.get("UploadId", "")
        if upload_id:
            self._uploads[upload_id] = key
        return upload_id

    async def complete(
        self, name: str, upload_id: str, document: bytes, headers: Mapping[str, str] | None = None
    ) -> Answer | None:
        """CompleteMultipartUpload."""
        key = self.key(name)
        versions = self._made.setdefault(key, set())
        said = await self.ask(Request("POST", key, (("uploadId", upload_id),), headers or {}, document))
        if is_success(said):
            self._uploads.pop(upload_id, None)
        return self._note(key, versions, said)

    def _note(self, key: str, versions: set[str], said: Answer | None) -> Answer | None:
        """Note what was made. After a refusal there is nothing, unless there was before; without an answer there may be."""
        if said is not None and is_success(said):
            versions.add(_version(said))
        elif said is not None and not versions and _CLIENT_ERROR <= said.status < _SERVER_ERROR:
            self._made.pop(key, None)
        return said

    async def clear(self) -> None:
        """Remove everything; what can't be is named in `left`."""
        pending = {(key, version) for key, versions in self._made.items() for version in versions or {""}}
        try:
            async with asyncio.timeout(_CLEANING), asyncio.TaskGroup() as group:
                for upload_id, key in self._uploads.items():
                    group.create_task(self._abort(key, upload_id))
                for key, version in list(pending):
                    group.create_task(self._remove(key, version, pending))
        except TimeoutError:
            pass
        self.left = (
            *self.left,
            *sorted({key for key, _ in pending}),
            *sorted(f"{key} (an upload)" for key in self._uploads.values()),
        )

    async def _remove(self, key: str, version: str, pending: set[tuple[str, str]]) -> None:
        said = await self.ask(Request("DELETE", key, (("versionId", version),) if version else ()))
        if said is not None and is_gone(said):
            pending.discard((key, version))

    async def _abort(self, key: str, upload_id: str) -> None:
        said = await self.ask(Request("DELETE", key, (("uploadId", upload_id),)))
        if said is not None and is_gone(said):
            self._uploads.pop(upload_id, None)


def _version(said: Answer) -> str:
    """The version that an answer names; empty where the bucket keeps none."""
    return said.headers.get(b"x-amz-version-id", b"").decode("ascii", "replace")
