"""``python -m losswatch_server.cli.dependent`` is ``losswatch-server``, for as long as who started it is there.

Standard input is a pipe that it holds open and writes nothing to; its end, which comes even where that process is
killed, stops this one as SIGTERM does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from losswatch_server.cli.commands import main


def _until_the_end() -> None:
    while os.read(0, 1 << 16):
        pass
    if sys.platform == "win32":
        os._exit(0)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_until_the_end, daemon=True).start()
    main()
