"""Measures training steps on this machine beside plain PyTorch loops: windows taken in turn, as ratios.

`measure` is the whole of it; `subjects` says what is timed, `windows` how, and `plain` has the loops of a
tutorial.
"""

import os

import cifar_tui.engine  # noqa: F401 - first of all: it sets what OpenMP reads when torch is loaded

# Read by torch's profiler when torch is loaded: without it, it writes lines of its own to stderr.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
