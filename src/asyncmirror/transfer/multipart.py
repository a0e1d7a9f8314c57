"""A large file: a multipart upload that is begun, gone on with, completed, or confirmed.

Owns the order that makes it exact after any stop: the intent and then the upload id are journalled before the first part is
sent, a part's receipt before it counts, the object only after the store confirmed it. Knows nothing of small files, of
outcomes' reasons or of retries: errors pass through.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

from asyncmirror import checksum
from asyncmirror.errors import (
    AccessDeniedError,
    ChangedError,
    CorruptedError,
    PreconditionError,
    RefusedError,
    SourceError,
    StoreError,
    ThrottledError,
    UnreadableError,
    UploadGoneError,
    cause,
)
from asyncmirror.journal.changes import Abandon, Begin, Receive, Supersede
from asyncmirror.model import Checksum, Completed, Properties, Receipt, Upload
from asyncmirror.plan.decide import is_ours, reconcile
from asyncmirror.plan.parts import Part, part_size, parts
from asyncmirror.settings import ObjectOptions, Tuning
from asyncmirror.sizes import MIB, format_size
from asyncmirror.source.read import OpenFile
from asyncmirror.store.retry import RetryingStore
from asyncmirror.store.slots import Slots
from asyncmirror.transfer.budget import ByteBudget
from asyncmirror.transfer.buffers import Buffers
from asyncmirror.transfer.conditional import is_conflict, own, refuse_taken
from asyncmirror.transfer.work import Ledger, Work

_OF_NOTHING = hashlib.md5(b"", usedforsecurity=False).hexdigest()
_SDK = 34 * MIB
"""What the SDK takes, which the first upload in parts loads: resident memory, measured. Bodies get as much less."""
_LEAST_WINDOW = 4
"""Parts of one file in flight, however many files are: one slow part must not hold a large file up."""


class Drained(Exception):  # noqa: N818  it is no error: the run is being stopped, and what was sent is on record
    """The upload was left unfinished because the run is draining."""


class _Progress(NamedTuple):
    upload: Upload
    receipts: dict[int, Receipt]


class Multipart:
    """Uploads files in parts."""

    def __init__(
        self,
        store: RetryingStore,
        ledger: Ledger,
        budget: ByteBudget,
        readers: Executor,
        tuning: Tuning,
        objects: ObjectOptions,
        draining: Callable[[], bool],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._budget = budget
        self._readers = readers
        self._tuning = tuning
        self._algorithm = objects.algorithm
        self._overwrite = objects.overwrite
        self._draining = draining
        self._active = 0
        self._windows: set[Slots] = set()
        self._buffers = Buffers()

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on; a file keeps its part size."""
        self._tuning = tuning
        for window in self._windows:
            window.resize(self._window)

    async def send(
        self, work: Work, opened: OpenFile, make: Callable[[str], Properties], sent: Callable[[int], None]
    ) -> Completed:
        """Upload an open file, going on where the journal says that an upload had got to.

        Args:
            work: Which file.
            opened: The file; it stays open.
            make: Makes the object's properties, given the nonce.
            sent: Told of bytes that the store confirmed.

        Returns:
            What the store confirmed, for the journal.

        Raises:
            ChangedError: The file changed; what had been sent is discarded.
            Drained: The run is being stopped; what was sent is kept for the next.
            AsyncmirrorError: As the file system or the store had it.
        """
        self._active += 1
        self._budget.reserve(_SDK)
        try:
            found = await self._resume(work, opened)
            if isinstance(found, Completed):
                return found
            if found is None and not self._overwrite:
                await refuse_taken(self._store, work.key)  # sooner than the store would, which is asked by Complete
            progress = found or await self._begin(work, opened, make)
            try:
                return await self._finish(work, opened, progress, sent)
            except UploadGoneError:  # a lifecycle rule or a person aborted it: once more, from the start
                sent(-sum(receipt.size for receipt in progress.receipts.values()))
                return await self._finish(work, opened, await self._begin(work, opened, make), sent)
            except PreconditionError as error:
                if not is_conflict(error):
                    raise
                sent(-sum(receipt.size for receipt in progress.receipts.values()))
                return await self._finish(work, opened, await self._begin(work, opened, make), sent)
        finally:
            self._active -= 1

    async def discard(self, work: Work) -> None:
        """Give up the upload that the journal has on record for this file, in the store and then in the journal."""
        uploading = work.record.uploading
        if uploading is not None and uploading.upload.upload_id:
            await self._store.abort_multipart_upload(work.key, uploading.upload.upload_id)
        await self._ledger.commit(Abandon(work.directory, work.file.name))

    async def _resume(self, work: Work, opened: OpenFile) -> _Progress | Completed | None:
        """What is left of the upload on record; None where there is none to go on with."""
        uploading = work.record.uploading
        if uploading is None:
            return None
        upload = uploading.upload
        if upload.part_size > self._budget.capacity:
            raise RefusedError(
                f"the upload in progress has parts of {format_size(upload.part_size)}, more than the memory allowed",
                hint=f"run again with --max-memory {-(-upload.part_size // MIB)}MiB or more for each of --loops",
            )
        if not upload.upload_id:
            return None  # that it may have been created is noted when it is abandoned
        if not uploading.identity.same_file(opened.identity):
            await self.discard(work)
            return None
        try:
            there = [part async for part in self._store.list_parts(work.key, upload.upload_id)]
        except UploadGoneError:
            progress = _Progress(upload, {receipt.number: receipt for receipt in upload.receipts})
            return await self._confirm(work, opened, progress)
        return _Progress(upload, {receipt.number: receipt for receipt in reconcile(upload, there)})

    async def _begin(self, work: Work, opened: OpenFile, make: Callable[[str], Properties]) -> _Progress:
        tuning = self._tuning
        nonce = secrets.token_hex(8)
        size = part_size(opened.identity.size, tuning.part_size, tuning.max_memory)
        intent = Upload("", nonce, size, self._algorithm)
        await self._ledger.commit(Abandon(work.directory, work.file.name))
        await self._ledger.commit(Begin(work.directory, work.file.name, opened.identity, intent))
        upload_id = await self._store.create_multipart_upload(work.key, intent.algorithm, make(nonce))
        if work.key in self._store.uncertain:  # there may be a second upload: the intent is kept as one to be looked for
            await self._ledger.commit(Abandon(work.directory, work.file.name))
            self._store.uncertain.discard(work.key)
        upload = intent._replace(upload_id=upload_id)
        await self._ledger.commit(Begin(work.directory, work.file.name, opened.identity, upload))
        return _Progress(upload, {})

    async def _finish(self, work: Work, opened: OpenFile, progress: _Progress, sent: Callable[[int], None]) -> Completed:
        """Send the parts that are missing, and make the object of all of them."""
        upload, receipts = progress
        try:
            sent(sum(receipt.size for receipt in receipts.values()))
            await self._send_parts(work, opened, progress, sent)
            await asyncio.get_running_loop().run_in_executor(self._readers, opened.verify)
            return await self._complete(work, opened, progress)
        except (SourceError, StoreError) as error:
            # What is left is of use only where the same bytes may still be sent to the same upload.
            gone = isinstance(error, (UploadGoneError, UnreadableError))
            if isinstance(error, ChangedError) or not (error.retryable or error.fatal or gone):
                await self._give_up(work, upload)
            raise

    async def _give_up(self, work: Work, upload: Upload) -> None:
        await self._store.abort_multipart_upload(work.key, upload.upload_id)
        await self._ledger.commit(Abandon(work.directory, work.file.name))

    async def _complete(self, work: Work, opened: OpenFile, progress: _Progress) -> Completed:
        """Make the object of its parts. Where that failed it may have succeeded all the same, the answer being lost."""
        upload, receipts = progress
        ordered = [receipts[number] for number in sorted(receipts)]
        whole = checksum.of_parts(upload.algorithm, ordered)
        size = opened.identity.size
        if work.record.completed is not None:
            await self._ledger.commit(Supersede(work.directory, work.file.name))
        try:
            stored = await self._store.complete_multipart_upload(work.key, upload.upload_id, ordered, size, whole)
        except StoreError as error:
            # Repeated, it is a success (AWS), NoSuchUpload (StorageGRID), "already in progress" for ever (Ceph RGW): the
            # nonce tells.
            if isinstance(error, CorruptedError):
                await self._give_up(work, upload)  # the same parts would be refused for ever
            confirmed = None if error.fatal else await self._confirm(work, opened, progress)
            if confirmed is None and isinstance(error, PreconditionError) and not is_conflict(error):
                await self._give_up(work, upload)
                remote = await own(self._store, work.key, upload.nonce, size, whole)
                confirmed = Completed(opened.identity, whole, remote.etag, upload.part_size)
            if confirmed is None:
                raise
            return confirmed
        if differs(stored.checksum, whole):
            await self._give_up(work, upload)  # what was made of these parts is not what was sent: from the start, next time
            raise CorruptedError("the store's checksum of the object is another", op="CompleteMultipartUpload", path=work.key)
        return Completed(opened.identity, whole, stored.etag, upload.part_size)

    async def _send_parts(self, work: Work, opened: OpenFile, progress: _Progress, sent: Callable[[int], None]) -> None:
        """Send the parts without a receipt, several at once, and journal each receipt."""
        window = Slots(self._window)
        self._windows.add(window)
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts(opened.identity.size, progress.upload.part_size):
                    if part.number in progress.receipts:
                        continue
                    if not window.take():
                        await window.turn()
                    if self._draining():
                        break
                    await self._budget.acquire(part.length)
                    task = group.create_task(self._send_part(work, opened, progress, part, sent))
                    # By callback: a task that is cancelled before it began runs no `finally`.
                    task.add_done_callback(partial(self._let_go, part.length, window))
        except BaseExceptionGroup as errors:
            raise cause(errors) from None
        finally:
            self._windows.discard(window)
        if self._draining() and len(progress.receipts) < -(-opened.identity.size // progress.upload.part_size):
            raise Drained

    @property
    def _window(self) -> int:
        """Parts of one file that may be in flight."""
        return max(_LEAST_WINDOW, self._tuning.concurrency // max(1, self._active))

    async def _send_part(
        self,
        work: Work,
        opened: OpenFile,
        progress: _Progress,
        part: Part,
        sent: Callable[[int], None],
    ) -> None:
        upload, receipts = progress
        loop = asyncio.get_running_loop()
        buffer = self._buffers.take(part.length)
        value = await loop.run_in_executor(self._readers, opened.read, part, upload.algorithm, buffer)
        try:
            etag = await self._store.upload_part(work.key, upload.upload_id, part.number, buffer, value)
        except ThrottledError:
            if self._draining():  # turned away, while others of its file are in flight, which go on
                return
            raise
        self._buffers.give_back(buffer)
        if is_of_nothing(etag, part.length):
            raise CorruptedError("the store took none of the part's bytes", op="UploadPart", path=work.key)
        receipt = Receipt(part.number, part.length, etag, value)
        await self._ledger.commit(Receive(work.directory, work.file.name, receipt))
        receipts[part.number] = receipt
        sent(part.length)

    def _let_go(self, size: int, window: Slots, _: "asyncio.Task[None]") -> None:
        self._budget.release(size)
        window.release()

    async def _confirm(self, work: Work, opened: OpenFile, progress: _Progress) -> Completed | None:
        """Whether the upload that is gone had been completed: then the object carries its nonce."""
        upload, receipts = progress
        try:
            remote = await self._store.head_object(work.key)
        except AccessDeniedError:
            return None  # who may only write learns nothing, not even that there is none
        whole = checksum.of_parts(upload.algorithm, [receipts[number] for number in sorted(receipts)])
        if remote is None or not is_ours(remote, upload.nonce, opened.identity.size) or differs(remote.checksum, whole):
            return None
        return Completed(opened.identity, whole, remote.etag, upload.part_size)


def differs(told: Checksum | None, known: Checksum) -> bool:
    """Whether a store tells of another checksum; one of another kind (composite, or of another algorithm) tells nothing."""
    return told is not None and (told.algorithm, told.parts) == (known.algorithm, known.parts) and told != known


def is_of_nothing(etag: str, size: int) -> bool:
    """Whether an ETag is the MD5 of no bytes though `size` bytes were sent: some server answered without reading them.

    ETags are opaque, so that another MD5 proves nothing; this one is what such servers give.
    """
    return etag == _OF_NOTHING and size > 0
