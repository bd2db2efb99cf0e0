"""``python -m losswatch_server`` is ``losswatch-server``."""

from losswatch_server.cli import main

if __name__ == "__main__":
    main()
