"""Exports again and again and prints each version when it is reported as written.

Usage: export_until_killed.py BASE [EVENT]. With EVENT the process kills itself at the file event of
that number (a file opened, a folder made, renamed or removed below BASE) after the first export.
"""

import os
import signal
import sys

import numpy as np
from conftest import random_model, shop_events

from tfrec_fusion.serving import export

WATCHED = ("open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree")


def main(base, event=None):
    shop = shop_events()
    model = random_model(shop, user="both")
    left = np.inf

    def watch(name, args):
        nonlocal left
        if name in WATCHED and str(args[0]).startswith(base):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    while True:
        print(export(model, shop, base), flush=True)
        if event is not None and left == np.inf:
            left = int(event)


if __name__ == "__main__":
    main(*sys.argv[1:])
