"""Presets: a file here is a recipe of that name, with dashes for underscores.

A preset module has a docstring whose first line is its summary, and `VALUES`, values of fields of `RunConfig`
that differ from the defaults. Figures to compare with may stand in `REFERENCE`, see `parity`.
"""
