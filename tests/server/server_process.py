"""`tfrec-fusion serve` in a process of its own."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]
_READY = re.compile(r"serving: REST at (\S+), gRPC at (\S+)")
START_SECONDS = 120


class ServerProcess:
    """Serves until it is closed.

    Attributes:
      rest, grpc: its addresses.
      log: lines of standard error.
    """

    def __init__(self, *arguments):
        ports = ["--rest-port", "0", "--grpc-port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tfrec_fusion.cli", "serve", *ports, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1"},
        )
        self.log, self._logged = [], threading.Condition()
        self._lines = queue.Queue()
        threading.Thread(target=self._read_log, daemon=True).start()
        threading.Thread(target=self._read_out, daemon=True).start()
        found = _READY.search(self._first_line() or "")
        if found is None:
            self.close()
            raise RuntimeError(f"the server did not start: {''.join(self.log)[-2000:]}")
        self.rest, self.grpc = found.groups()

    def wait_for(self, text, seconds=60):
        """Waits until a line of the log has `text`; returns all lines so far."""
        # In small steps, so that a machine that stands still does not count.
        with self._logged:
            for _ in range(seconds * 10):
                if self._logged.wait_for(lambda: any(text in line for line in self.log), 0.1):
                    return list(self.log)
            raise AssertionError(f"no {text!r} in {''.join(self.log)[-2000:]}")

    def stop(self, number=signal.SIGTERM, seconds=30):
        """Sends a signal and returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _first_line(self):
        for _ in range(START_SECONDS * 10):
            try:
                return self._lines.get(timeout=0.1)
            except queue.Empty:
                continue
        return None

    def _read_log(self):
        for line in self.process.stderr:
            with self._logged:
                self.log.append(line)
                self._logged.notify_all()

    def _read_out(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)
