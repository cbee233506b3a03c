import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tfrec_fusion.serving.server.feedback.events import SCHEMA, read_events
from tfrec_fusion.serving.server.feedback.feedback_log import FeedbackLog
from tfrec_fusion.serving.server.status import StatusError

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
    (path,) = tmp_path.iterdir()
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
    assert list(tmp_path.iterdir()) == []


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
import sys, time
from pathlib import Path
from tfrec_fusion.serving.server.feedback.feedback_log import FeedbackLog
log = FeedbackLog(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    log.append([{**%r, "position": number}])
    print(number, time.monotonic(), flush=True)
    time.sleep(0.001)
"""


def test_a_kill_costs_a_second_at_most(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED % CLICK, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    )
    lines = [process.stdout.readline() for _ in range(1500)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    # A line may be cut off in its middle, as a kill of the machine leaves it.
    (journal,) = tmp_path.glob("*.journal")
    with journal.open("a") as file:
        file.write('{"kind": "cl')
    FeedbackLog(tmp_path).close()
    assert list(tmp_path.glob("*.journal")) == []
    found = kept(tmp_path)
    assert found == list(range(1, len(found) + 1))
    last_time = float(lines[-1].split()[1])
    lost = [line for line in lines if int(line.split()[0]) > len(found)]
    assert not lost or last_time - float(lost[0].split()[1]) < 1


def test_a_kill_between_the_file_and_the_end_of_its_journal(tmp_path):
    (tmp_path / "events-1.journal").write_text(json.dumps(CLICK) + "\n")
    FeedbackLog(tmp_path).close()
    (tmp_path / "events-1.journal").write_text(json.dumps(CLICK) + "\n")
    FeedbackLog(tmp_path).close()
    assert kept(tmp_path) == [1]


def test_the_journal_of_another_server_is_left_alone(tmp_path):
    first = FeedbackLog(tmp_path)
    first.append([click(1)])
    while not list(tmp_path.glob("*.journal")):
        os.sched_yield()
    FeedbackLog(tmp_path).close()
    assert len(list(tmp_path.glob("*.journal"))) == 1
    first.close()
    assert kept(tmp_path) == [1]


def test_events_as_they_come():
    given = {k: v for k, v in CLICK.items() if k not in ("time", "request_id")}
    (event,) = read_events(json.dumps({"events": [given]}).encode())
    assert event.pop("time") > 1.7e9
    assert event == {**given, "request_id": ""}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "view"}, "event 0 kind must be one of"),
        ({"position": 0}, "event 0 position must be a whole number of at least 1"),
        ({"position": True}, "position"),
        ({"version": "2"}, "version must be a whole number"),
        ({"version": 2**70}, "version"),
        ({"user_id": ""}, "user_id must be text"),
        ({"item_id": "x" * 1001}, "item_id must be text of at most 1000"),
        ({"user_id": "\ud83d"}, "user_id must be text"),
        ({"time": float("nan")}, "time must be unix seconds"),
        ({"time": 1.7e12}, "time must be unix seconds"),
        ({"colour": 1}, "has no field 'colour'"),
    ],
)
def test_events_that_are_refused(change, says):
    with pytest.raises(StatusError, match=says):
        read_events(json.dumps({"events": [{**CLICK, **change}]}).encode())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"events": []}', b'{"events": [1]}', b"[" * 100_000]
)
def test_bodies_that_are_refused(body):
    with pytest.raises(StatusError, match="feedback: "):
        read_events(body)
    with pytest.raises(StatusError, match="1 to 1000"):
        read_events(json.dumps({"events": [CLICK] * 1001}).encode())
