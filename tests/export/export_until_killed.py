"""Exports again and again and prints each version when it is reported as written.

Usage: export_until_killed.py export|refresh BASE [EVENT]. Of refreshes the first is an export. With
EVENT, the process kills itself after the first export at the file event of that number (a file
opened, a folder made, something renamed or removed below BASE's parent), or before the rename of
that number, as in "rename 1".
"""

import os
import signal
import sys

import numpy as np
from conftest import random_model, shop_events

from tfrec_fusion.export import export, refresh
from tfrec_fusion.export.versions import versions

WATCHED = ("open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree")


def main(command, base, event=None):
    shop = shop_events()
    model = random_model(shop, user="both")
    left = np.inf

    watched = WATCHED
    if event is not None and event.startswith("rename "):
        watched, event = ("os.rename",), event.removeprefix("rename ")

    def watch(name, args):
        nonlocal left
        if name in watched and str(args[0]).startswith(os.path.dirname(base)):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    while True:
        write = refresh if command == "refresh" and versions(base) else export
        print(write(model, shop, base), flush=True)
        if event is not None and left == np.inf:
            left = int(event) - 1


if __name__ == "__main__":
    main(*sys.argv[1:])
