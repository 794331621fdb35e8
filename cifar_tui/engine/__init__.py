"""The training engine: one loop over a device-resident dataset, behind an `emit` function and a control."""

import os
import sys

# How the threads of torch wait for each other; read when torch is loaded. The 300,000 turns in a loop that
# libgomp takes by itself are the fastest on two cores (1,000 turns: a fifth slower; 100, or PASSIVE: a third
# of it). But where two threads of the process have workers, as a screen's and a training's may, it takes
# 100; with ACTIVE it takes 1,000, and the FNN is three times faster. Beside another busy program no setting
# helps: that is what `threads` is for. Denormal numbers cost nothing there, so nothing is done about them.
if sys.platform == "linux" and not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
    os.environ["GOMP_SPINCOUNT"] = "300000"  # else ACTIVE would never let go
