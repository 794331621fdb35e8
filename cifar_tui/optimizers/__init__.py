"""Optimizers: a file here is an optimizer of that name.

An optimizer module has a docstring whose first line is its summary, and

- `OPTIONS`: the fields of `RunConfig` that only some optimizers have and this one does;
- `DEFAULTS`: its own defaults of such fields, used where nothing else gives a value;
- `build(parameters, config)`: the `torch.optim.Optimizer`.
"""
