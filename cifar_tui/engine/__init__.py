"""The training engine: one loop over a device-resident dataset, behind an `emit` function and a control."""
