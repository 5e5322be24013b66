"""The server's pages: one to drop pictures on, one that shows programs how to ask. Nothing is from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from fieldmark.server.refusals import MEANING

_SAMPLE_HOST = "127.0.0.1:8000"  # what examples in the OpenAPI description are written for

_SHORT = 72


def start_page() -> str:
    """HTML for a person with a picture."""
    return _environment().get_template("start.html").render()


def docs_page(description: Mapping[str, Any], host: str) -> str:
    """HTML for a person who writes a client: the OpenAPI `description` of a server that was reached as `host`."""
    return _environment().get_template("docs.html").render(description=description, host=host, meaning=MEANING)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(lambda name: resources.files("fieldmark.server").joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": _code, "kind": _kind, "written": _written, "here": _here}
    return environment


def _code(text: str) -> Markup:
    """Text of which every second stretch between backticks is code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(each) if odd % 2 else each for odd, each in enumerate(parts)
    )


def _kind(schema: Mapping[str, Any]) -> str:
    """The type of a parameter, with its bounds: `integer, 1 to 10000`."""
    names = [each["type"] for each in schema.get("anyOf", [schema]) if each["type"] != "null"]
    bounds = f", {schema['minimum']} to {schema['maximum']}" if "minimum" in schema else ""
    return " or ".join(names) + bounds


def _written(example: Any, margin: str = "") -> str:
    """Text as it is; else JSON in which what is short stands on one line."""
    if isinstance(example, str) and not margin:
        return example
    line = json.dumps(example, ensure_ascii=False)
    if len(line) + len(margin) <= _SHORT or not isinstance(example, dict | list):
        return line
    inner = margin + "  "
    keyed = isinstance(example, dict)
    parts = [
        f"{inner}{json.dumps(key) + ': ' if keyed else ''}{_written(value, inner)}"
        for key, value in (example.items() if isinstance(example, dict) else enumerate(example))
    ]
    return "\n".join(["{" if keyed else "[", ",\n".join(parts), margin + ("}" if keyed else "]")])


def _here(sample: str, host: str) -> str:
    return sample.replace(_SAMPLE_HOST, host)
