"""Importing this lets a script import `support`, the tests' own tools."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
