import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.errors import InputError
from tfrec_fusion.server.feedback.events import SCHEMA, read_events
from tfrec_fusion.server.feedback.feedback_log import FeedbackLog

CLICK = {
    "kind": "click",
    "time": 1.7e9,
    "model": "shop",
    "version": 2,
    "user_id": "ü 3",
    "item_id": "🧀,2",
    "position": 1,
    "request_id": "",
}


def click(number):
    return {**CLICK, "position": number}


def kept(folder):
    """Positions of all events in files, in order."""
    tables = [pq.read_table(path) for path in sorted(folder.glob("events-*.parquet"))]
    assert all(table.schema == SCHEMA for table in tables)
    return sorted(row["position"] for table in tables for row in table.to_pylist())


def test_what_is_taken_is_kept(tmp_path):
    log = FeedbackLog(tmp_path)
    for number in range(1, 101):
        log.append([click(number), click(1000 + number)])
    log.close()
    assert kept(tmp_path) == [*range(1, 101), *range(1001, 1101)]
    (path,) = tmp_path.glob("[!.]*")
    assert path.stat().st_mode & 0o777 == 0o600
    assert pq.read_table(path).to_pylist()[0] == CLICK


def test_files_rotate(tmp_path):
    written = []
    log = FeedbackLog(tmp_path, rotate_rows=3, log=lambda event, **f: written.append(f["events"]))
    for number in range(1, 8):
        log.append([click(number)])
    log.close()
    assert written == [3, 3, 1]
    assert kept(tmp_path) == list(range(1, 8))


def test_nothing_comes_of_nothing(tmp_path):
    FeedbackLog(tmp_path).close()
    assert list(tmp_path.glob("[!.]*")) == []


def test_many_at_once(tmp_path):
    log = FeedbackLog(tmp_path, rotate_rows=50)
    threads = [
        threading.Thread(
            target=lambda t=t: [log.append([click(t * 1000 + i)]) for i in range(1, 101)]
        )
        for t in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert kept(tmp_path) == sorted(t * 1000 + i for t in range(4) for i in range(1, 101))


KILLED = """
import sys
from pathlib import Path
from tfrec_fusion.server.feedback.feedback_log import FeedbackLog
log = FeedbackLog(Path(sys.argv[1]), rotate_rows=40)
number = 0
while True:
    number += 1
    log.append([{**%r, "position": number}]).result()
    print(number, flush=True)
"""


def test_after_a_kill_each_acknowledged_event_is_there_once(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED % CLICK, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    lines = [process.stdout.readline() for _ in range(130)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    # A line may be cut off in its middle, as a kill of the machine leaves it.
    journals = list(tmp_path.glob("*.journal"))
    for journal in journals:
        assert journal.stat().st_mode & 0o777 == 0o600
        with journal.open("a") as file:
            file.write('{"kind": "cl')
    FeedbackLog(tmp_path).close()
    assert list(tmp_path.glob("*.journal")) == []
    found, acknowledged = kept(tmp_path), int(lines[-1])
    # The last may have been written and not yet told.
    assert found in ([*range(1, acknowledged + 1)], [*range(1, acknowledged + 2)])
    assert len(list(tmp_path.glob("*.bad"))) == len(journals)


@pytest.fixture
def full_disk():
    """A function that lets files grow up to so many bytes, or None: as before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))

    yield limit
    limit(None)


def test_on_a_full_disk_nothing_that_was_taken_is_lost(tmp_path, full_disk):
    told = []
    log = FeedbackLog(tmp_path, log=lambda event, **fields: told.append((event, fields)))
    line = len(json.dumps(click(10))) + 1
    assert log.append([click(10)]).result() == 1
    full_disk(line * 3 + line // 2)
    # The second goes to the disk in part only, before there is an error.
    assert log.append([click(11), click(12)]).result() == 2
    for _ in range(3):
        with pytest.raises(StatusError, match=r"now \(File too large\)") as caught:
            log.append([click(13), click(14)]).result()
        assert caught.value.http == 503
    (journal,) = tmp_path.glob("*.journal")
    assert journal.stat().st_size == 3 * line
    full_disk(None)
    assert log.append([click(15)]).result() == 1
    log.close()
    assert kept(tmp_path) == [10, 11, 12, 15]
    assert [event for event, _ in told] == [
        "feedback_failed",
        "feedback_works_again",
        "feedback_written",
    ]
    assert told[-1][1]["events"] == 4


@pytest.mark.parametrize("size", [0, 300])
def test_a_file_that_cannot_be_made_waits_in_its_journal(tmp_path, full_disk, size):
    told = []
    log = FeedbackLog(tmp_path, log=lambda event, **fields: told.append(event))
    assert log.append([click(1), click(2)]).result() == 2
    full_disk(size)
    log.close()
    full_disk(None)
    assert told == ["feedback_failed"]
    assert not list(tmp_path.glob("*.parquet"))
    FeedbackLog(tmp_path).close()
    assert kept(tmp_path) == [1, 2]
    assert not list(tmp_path.glob("*.journal"))


def test_a_disk_without_room_for_a_new_file(tmp_path, monkeypatch):
    log = FeedbackLog(tmp_path)

    def full(*args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for _ in range(2):
            with pytest.raises(StatusError, match="No space left on device"):
                log.append([click(1)]).result()
    assert log.append([click(2)]).result() == 1
    log.close()
    assert kept(tmp_path) == [2]


@pytest.mark.parametrize("events", [0, 1])
def test_a_journal_that_cannot_be_removed_stops_nothing(tmp_path, monkeypatch, full_disk, events):
    log = FeedbackLog(tmp_path)
    full_disk(None if events else 0)
    if events:
        assert log.append([click(1)]).result() == 1
    else:
        with pytest.raises(StatusError, match="File too large"):
            log.append([click(1)]).result()
    full_disk(None)

    def read_only(path, missing_ok=False):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", read_only)
        log.rotate()
        assert log.append([click(2)]).result(timeout=10) == 1
    assert log.append([click(3)]).result(timeout=10) == 1
    log.close()
    FeedbackLog(tmp_path).close()
    assert kept(tmp_path) == ([1, 2, 3] if events else [2, 3])
    assert not list(tmp_path.glob("*.journal"))


def test_lines_that_are_no_events_are_set_aside(tmp_path):
    lines = [
        json.dumps(click(1)).encode(),
        b'{"kind": "click"}',
        b"\xff\xfe\x00",
        b"[" * 5000,
        b"",
        json.dumps({**click(3), "version": 2**70}).encode(),
        json.dumps(click(2)).encode(),
        b'{"kind": "cli',
    ]
    (tmp_path / "events-1.journal").write_bytes(b"\n".join(lines))
    told = []
    FeedbackLog(tmp_path, log=lambda event, **f: told.append((event, f))).close()
    assert kept(tmp_path) == [1, 2]
    (bad,) = tmp_path.glob("*.bad")
    assert bad.read_bytes() == b"\n".join([*lines[1:6], lines[7]])
    assert bad.stat().st_mode & 0o777 == 0o600
    assert told[0] == ("feedback_bad_lines", {"lines": 6, "file": str(bad)})
    assert (told[1][0], told[1][1]["events"]) == ("feedback_recovered", 2)


def test_a_file_on_demand(tmp_path):
    written = threading.Event()
    log = FeedbackLog(tmp_path, log=lambda event, **fields: written.set())
    log.append([click(1)])
    log.rotate()
    assert written.wait(60)
    assert kept(tmp_path) == [1]
    log.close()
    with pytest.raises(StatusError, match="is stopping"):
        log.append([click(2)])


def test_a_kill_between_the_file_and_the_end_of_its_journal(tmp_path):
    (tmp_path / "events-1.journal").write_text(json.dumps(CLICK) + "\n")
    FeedbackLog(tmp_path).close()
    (tmp_path / "events-1.journal").write_text(json.dumps(CLICK) + "\n")
    FeedbackLog(tmp_path).close()
    assert kept(tmp_path) == [1]


def test_a_folder_has_one_server(tmp_path):
    first = FeedbackLog(tmp_path)
    first.append([click(1)]).result()
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="another server writes feedback to the folder"):
        FeedbackLog(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == before
    first.close()
    assert kept(tmp_path) == [1]
    FeedbackLog(tmp_path).close()


def test_events_as_they_come():
    given = {k: v for k, v in CLICK.items() if k not in ("time", "request_id")}
    (event,) = read_events(json.dumps({"events": [given]}).encode())
    assert event.pop("time") > 1.7e9
    assert event == {**given, "request_id": ""}


def test_a_field_that_is_there_twice_is_refused():
    body = json.dumps({"events": [CLICK]}).replace('"position"', '"position": 3, "position"')
    with pytest.raises(StatusError, match="the key 'position' occurs twice"):
        read_events(body.encode())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "view"}, "event 0 kind must be one of"),
        ({"position": 0}, "event 0 position must be a whole number of at least 1"),
        ({"position": True}, "position"),
        ({"version": "2"}, "version must be a whole number"),
        ({"version": 2**70}, "version"),
        ({"user_id": ""}, "user_id must be a text"),
        ({"item_id": "x" * 1001}, "item_id must be a text of at most 1000"),
        ({"user_id": "\ud83d"}, "user_id must be a text"),
        ({"time": float("nan")}, "time must be unix seconds"),
        ({"time": 1.7e12}, r"time must be unix seconds.*milliseconds: divide by 1000"),
        ({"time": 19_675}, r"time must be unix seconds from 1990-01-01.*days: multiply by 86400"),
        ({"time": 0}, "time must be unix seconds"),
        ({"time": -1.7e9}, "time must be unix seconds"),
        ({"time": True}, "time must be unix seconds"),
        ({"time": 4.1e9}, "time must be unix seconds"),  # 2099
        ({"time": 10**400}, "time must be unix seconds"),
        ({"colour": 1}, "has an unknown field 'colour'"),
    ],
)
def test_events_that_are_refused(change, says):
    with pytest.raises(StatusError, match=says):
        read_events(json.dumps({"events": [{**CLICK, **change}]}).encode())


def test_any_time_where_that_is_wanted():
    body = json.dumps({"events": [{**CLICK, "time": 5}, {**CLICK, "time": 4.1e9}]}).encode()
    assert [event["time"] for event in read_events(body, any_time=True)] == [5, 4.1e9]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"events": []}', b'{"events": [1]}', b"[" * 100_000]
)
def test_bodies_that_are_refused(body):
    with pytest.raises(StatusError, match="feedback: "):
        read_events(body)
    with pytest.raises(StatusError, match="1 to 1000"):
        read_events(json.dumps({"events": [CLICK] * 1001}).encode())
