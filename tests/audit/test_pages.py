"""A pass over several pages of a listing, as the wire's own store asks a server for them."""

from pathlib import Path

import pytest

from asyncmirror.audit.merge import Finding, Verdict
from asyncmirror.audit.verify import Report, Verifier
from asyncmirror.checksum import compute
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Complete
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Algorithm, Completed, Identity
from asyncmirror.settings import Connection, Destination, Tuning, Verification
from asyncmirror.testing import Fault, FaultPlan, Kind, S3Server, ServerConfig
from tests.testing.s3_clients import Boto

CRC = Algorithm.CRC64NVME
COUNT = 2_500
BELONGS = Belongs("/src", "s3://box/p", "")


@pytest.mark.parametrize("kind", [None, Kind.RESET_AFTER])
async def test_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind | None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
    async with S3Server(ServerConfig(buckets=("box",))) as server:
        client = Boto(server)
        stored = await client("put_object", Bucket="box", Key="p/seed", Body=b"")
        seed = server.objects("box")["p/seed"]
        of = BELONGS._replace(endpoint=server.url)
        journal = Journal(tmp_path / "journal", of)
        directory = journal.known(b"", None).directory
        completed = Completed(Identity(0, 1, 0, 2, 3), compute(CRC, b""), stored["ETag"].strip('"'), 0)
        names = [f"{number:05}" for number in range(COUNT)]
        journal.submit([Complete(directory, name.encode(), completed, clears=False) for name in names]).result()
        journal.begin_run().result()
        journal.end_run({"stopped": False}).result()
        journal.close()
        # What is missing stands at the ends of ranges; what is extra before, between and behind them.
        for name in sorted({*names, "00998+", "01000+", "1"} - {"00000", "00999", "01000", "02499"}):
            server.put("box", f"p/{name}", seed)
        if kind is not None:
            server.inject(FaultPlan((Fault("ListObjectsV2", kind, first=2, every=2, times=4),)))
        connection = Connection(endpoint_url=server.url)
        asked = Verification(
            Destination("box", "p"), tmp_path / "journal", connection=connection, tuning=Tuning(retry_window=9)
        )
        found = [each async for each in Verifier(asked, of).run()]
        client.client.close()
    report = found[-1]
    assert isinstance(report, Report)
    assert {each.key: each.verdict for each in found if isinstance(each, Finding)} == {
        "p/00000": Verdict.MISSING,
        "p/00998+": Verdict.EXTRA,
        "p/00999": Verdict.MISSING,
        "p/01000": Verdict.MISSING,
        "p/01000+": Verdict.EXTRA,
        "p/02499": Verdict.MISSING,
        "p/1": Verdict.EXTRA,
        "p/seed": Verdict.EXTRA,
    }
    assert report.counts[Verdict.EQUAL] == COUNT - 4
    if kind is None:
        lists = [request for request in server.requests if request.op == "ListObjectsV2"]
        assert len(lists) == 4  # whether it answers, and a page for each range
