"""What a notebook shows and asks: runtime, figures, widgets, claims and the engine behind the
exercises.
"""

# Torch loads this, 800 modules, when the first optimizer is made. Stop in the middle of that would
# spoil the session: torch stays half-loaded until the kernel restarts. So it is loaded with all
# else, before anything runs.
import torch._dynamo

from course_utils.machine import installed

from .claims import Claims, Source
from .diagrams import Diagram
from .figures import COLORS, Markup, Picture, show, subplots, token_strip
from .live import live
from .predictions import predict, reveal
from .runtime import device, generator, pick, profile, progress, timed, versions
from .widgets import explore

del torch  # the name, which `import torch._dynamo` bound here

__all__ = [
    "COLORS", "Claims", "Diagram", "Markup", "Picture", "Source", "device", "explore", "generator", "live", "pick", "predict", "profile", "progress", "reveal",
    "show", "subplots", "timed", "token_strip", "versions",
]  # fmt: skip

installed.warn_of_widgets()
