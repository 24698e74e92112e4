"""The page of `anydepth serve` for people: its addresses and a form to try them, without scripts or a network."""

from html import escape

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "td,th{text-align:left;vertical-align:top;padding:.1rem 1rem .1rem 0}code{background:#eee;padding:0 .2em;"
    "white-space:nowrap}"
    "form{margin:1rem 0;padding:1rem;background:#f4f4f4}"
)


def page(schema: dict) -> str:
    """An HTML page of what OpenAPI's description of the application says."""
    sections = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            sections.append(_section(method.upper(), path, operation, schema))
    title = escape(f"{schema['info']['title']} {schema['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(schema['info']['description'])}</p>"
        '<form method="post" action="predict?format=color&amp;legend=true" enctype="multipart/form-data">'
        '<label>Photograph: <input type="file" name="file" accept="image/*" required></label> '
        "<button>Show its map</button></form>"
        f'{"".join(sections)}<p>For programs: <a href="openapi.json">openapi.json</a>.</p></html>'
    )


def _section(method: str, path: str, operation: dict, schema: dict) -> str:
    parameters = [
        (f"?{item['name']}=", f"{_choices(item['schema'], schema)} {item.get('description', '')}")
        for item in operation.get("parameters", ())
    ]
    bodies = [
        ("body", ", field ".join([kind, *body["schema"].get("required", ())]))
        for kind, body in operation.get("requestBody", {}).get("content", {}).items()
    ]
    answers = [(code, item["description"]) for code, item in sorted(operation["responses"].items())]
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{escape(text.strip())}"
        for name, text in parameters + bodies + answers
    )
    return f"<h2><code>{method} {escape(path)}</code></h2><p>{escape(operation['summary'])}<table>{rows}</table>"


def _choices(kind: dict, schema: dict) -> str:
    """The words that a parameter may have, or its type."""
    if "$ref" in kind:
        kind = schema["components"]["schemas"][kind["$ref"].rpartition("/")[2]]
    if "items" in kind:
        return _choices(kind["items"], schema)
    if "anyOf" in kind:
        return _choices(kind["anyOf"][0], schema)
    return f"({', '.join(kind['enum'])})" if "enum" in kind else f"({kind['type']})"
