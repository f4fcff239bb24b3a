"""What the settings of a plug-in mean, read from its Config: descriptions or docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap

from pydantic import BaseModel


def setting_texts(config: type[BaseModel]) -> dict[str, str]:
    """Return each setting's meaning: ``Field(description=…)``, else the text below the field."""
    texts: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel:
            texts.update(_docstrings(cls))
    for name, field in config.model_fields.items():
        if field.description:
            texts[name] = field.description
    return {name: " ".join(text.split()) for name, text in texts.items()}


def _docstrings(cls: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}  # no source at hand, e.g. a class made by code
    definition = tree.body[0]
    if not isinstance(definition, ast.ClassDef):
        return {}
    found = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            found[statement.target.id] = following.value.value
    return found
