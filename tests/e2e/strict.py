"""Strict reading of replies by the models of the openai package, which are generated from OpenAI's published schema."""

import pydantic


def extras(value, path="$"):
    """Fields that the schema does not know, anywhere below."""
    out = []
    if isinstance(value, pydantic.BaseModel):
        out += [f"{path}.{name}" for name in (value.model_extra or {})]
        for name in type(value).model_fields:
            out += extras(getattr(value, name, None), f"{path}.{name}")
    elif isinstance(value, dict):
        for name, inner in value.items():
            out += extras(inner, f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for i, inner in enumerate(value):
            out += extras(inner, f"{path}[{i}]")
    return out


def read(model, raw, allowed=()):
    """`raw` as a `model` (a class or a union), no type converted, nothing added but paths that end in one of `allowed`."""
    value = pydantic.TypeAdapter(model).validate_json(raw, strict=True)
    unknown = [path for path in extras(value) if not path.endswith(tuple(allowed))] if allowed else extras(value)
    assert not unknown, f"fields that the schema does not have: {unknown}"
    return value


def server_sent_events(text):
    """[(event or None, data)], each checked for its form."""
    assert text.endswith("\n\n"), repr(text[-80:])
    out = []
    for block in text[:-2].split("\n\n"):
        event, data = None, None
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            assert name in ("event", "data"), repr(line)
            if name == "event":
                event = value
            else:
                data = value
        assert data is not None, repr(block)
        out.append((event, data))
    return out
