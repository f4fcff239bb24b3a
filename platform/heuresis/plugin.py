"""The base of every plug-in's settings; low in the layering, so that spaces can use it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class PluginConfig(BaseModel):
    """Base of every plug-in's nested ``Config``: strict and immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")
