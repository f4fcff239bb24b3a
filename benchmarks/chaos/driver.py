"""The ``heuresis`` command with toy plug-ins: what a campaign file by itself could not name."""

from __future__ import annotations

import sys
from functools import partial

from heuresis.campaign import resolve
from heuresis.campaign.plugins import Plugins
from heuresis.cli.main import main
from heuresis.testing.fakes import PLUGINS

if __name__ == "__main__":
    resolve.Plugins = partial(Plugins, PLUGINS)  # type: ignore[assignment,misc]
    main(sys.argv[1:])
