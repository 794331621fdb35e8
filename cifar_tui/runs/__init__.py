"""Run directories: where a training records itself, and how its records are read. Stdlib and numpy."""
