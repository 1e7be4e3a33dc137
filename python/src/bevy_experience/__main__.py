"""``python -m bevy_experience``: the command ``bevy-experience``."""

import sys

from .cli import main

sys.exit(main())
