"""Where DGL has to be there."""

from __future__ import annotations

import platform
import sys

DGL_EXPECTED = sys.version_info[:2] in {(3, 11), (3, 12)} and sys.platform == "linux" and platform.machine() == "x86_64"
"""Where the dependencies name DGL and its wheels are known to work with current torch: its absence is a failure there."""
