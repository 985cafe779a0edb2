"""docs/api.md, written from the OpenAPI document: the pages by tag, then the types that they take and give."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]

_HEAD: Final = """\
# HTTP API

<!-- Written by `make api` from the gateway's OpenAPI document: change the code, not this page. -->

What `sortline serve` answers. A running gateway shows the same at `/docs`, where it can be tried out, and as a
document for programs at `/openapi.json`. Where the gateway was started with `--api-keys`, a request has its key in
`X-API-Key`, or as `Authorization: Bearer`; `/health`, `/ready` and `/metrics` need none.
"""
_REFERENCE: Final = "#/components/schemas/"


def api_page(document: Mapping[str, Any]) -> str:
    """Return the page in Markdown; `document` is OpenAPI 3.1, in which every route has one tag."""
    parts = [_HEAD]
    for tag in document["tags"]:
        routes = list(_routes(document, tag["name"]))
        if routes:
            parts += [f"## {tag['name']}\n", f"{tag['description']}\n"]
            parts += [_route(method, path, route) for method, path, route in routes]
    parts.append("## Types\n")
    schemas = document["components"]["schemas"]
    parts += [_type(name, schemas[name]) for name in sorted(_used(document, schemas))]
    return "\n".join(parts)


def _routes(document: Mapping[str, Any], tag: str) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            if tag in route["tags"]:
                yield method.upper(), path, route


def _route(method: str, path: str, route: Schema) -> str:
    lines = [f"### {route['summary']}: `{method} {path}`", "", route["description"], ""]
    if "requestBody" in route:
        lines += [f"Body: {_content(route['requestBody'])}", ""]
    answers: dict[str, list[str]] = {}
    for status, answer in sorted(route["responses"].items()):
        answers.setdefault(_content(answer), []).append(status)
    lines += [f"- {', '.join(statuses)}: {content}" for content, statuses in answers.items()]
    return "\n".join(lines) + "\n"


def _content(holder: Schema) -> str:
    return ", ".join(
        f"{_kind(content['schema'])} (`{media}`)" if content.get("schema") else f"`{media}`"
        for media, content in holder.get("content", {}).items()
    )


def _type(name: str, schema: Schema) -> str:
    lines = [f"### {name}", ""]
    if description := schema.get("description"):
        lines += [description, ""]
    if "properties" in schema:
        required = schema.get("required", ())
        lines += ["| field | type | |", "| --- | --- | --- |"]
        for field, of in schema["properties"].items():
            told = of.get("description", "").replace("|", "\\|").replace("\n", " ")
            mark = "" if field in required else ", optional"
            lines.append(f"| `{field}` | {_kind(of)}{mark} | {told} |".replace("|  |", "| |"))
        lines.append("")
    else:
        lines += [f"Is {_kind(schema)}.", ""]
    for example in schema.get("examples", ()):
        lines += ["```json", json.dumps(example, ensure_ascii=False), "```", ""]
    return "\n".join(lines)


def _kind(schema: Schema) -> str:
    """Return a type in words, with links to those of the page."""
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(_REFERENCE)
        return f"[{name}](#{name.lower()})"
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(_kind(one) for one in schema[union]))
    if "enum" in schema or "const" in schema:
        values: Sequence[object] = schema.get("enum") or [schema["const"]]
        return " or ".join(f"`{json.dumps(value)}`" for value in values)
    if schema.get("type") == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    bounds = [f"{words} {schema[key]}" for key, words in _BOUNDS.items() if abs(schema.get(key, _LARGE)) < _LARGE]
    return " ".join([str(schema.get("type", "anything")), *bounds])


_BOUNDS: Final = {"minimum": "from", "maximum": "to"}
_LARGE: Final = 2**31


def _used(document: Mapping[str, Any], schemas: Mapping[str, Schema]) -> set[str]:
    """Return the names of the types that some page names, and of those that these name."""
    used: set[str] = set()
    new = set(_references(document["paths"]))
    while new:
        used |= new
        new = {name for known in new for name in _references(schemas[known])} - used
    return used


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inside in value.items():
            if key == "$ref":
                yield str(inside).removeprefix(_REFERENCE)
            else:
                yield from _references(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _references(inside)
