"""The training engine: one loop over a device-resident dataset, behind an `emit` function and a control."""

import os

# Read by the OpenMP of torch when torch is loaded. Its default, 300,000 turns of waiting in a loop, makes two
# threads ten times slower than one as soon as another process wants a core; 1,000 turns do not.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
