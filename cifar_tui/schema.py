"""How a field of the schema of hyper-parameters is declared."""

from __future__ import annotations

from typing import Any

from pydantic import Field


def option(
    default: Any,
    section: str,
    help: str,
    *,
    unit: str = "",
    catalog: str = "",
    alias: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    advanced: bool = False,
) -> Any:
    """A field of the schema of hyper-parameters; what flags, forms and help say of it goes along."""
    extra: dict[str, Any] = {
        "section": section,
        "unit": unit,
        "catalog": catalog,
        "alias": alias,
        "advanced": advanced,
        "ge": ge,
        "gt": gt,
        "le": le,
    }
    return Field(default, description=help, ge=ge, gt=gt, le=le, json_schema_extra=extra)
