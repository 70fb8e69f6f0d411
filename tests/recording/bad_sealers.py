"""In place of the process that seals: one that never answers (`hangs`), or ends over whatever it is asked (`dies`)."""

import os
import signal
import sys

from callrec._child import serve

FAULT = sys.argv[3]


def answers_nothing(_job):
    if FAULT == "dies":
        os.abort()
    signal.pause()


if __name__ == "__main__":
    serve(lambda: answers_nothing, nice=0)
