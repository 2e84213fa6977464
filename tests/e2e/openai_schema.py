"""python openai_schema.py URL: raw replies of every OpenAI endpoint are of the published schema, to the letter."""

import json
import sys

import httpx
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from check import check, finish
from strict import read, server_sent_events

http = httpx.Client(base_url=sys.argv[1], timeout=120)
MODEL = http.get("/v1/models").json()["data"][0]["id"]
QUESTION = [{"role": "user", "content": "Name the four seasons."}]
REASONING = ("reasoning_content",)  # not OpenAI's: where the model reasons
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {
    "type": "object", "properties": {"at": {"enum": ["sun", "moon"]}}, "required": ["at"], "additionalProperties": False}}}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"],
          "additionalProperties": False}


def post(path, **body):
    reply = http.post(path, json={"model": MODEL, **body})
    assert reply.status_code == 200, reply.text
    return reply.text


def chunks(path, model, **body):
    events = server_sent_events(post(path, stream=True, **body))
    assert events[-1] == (None, "[DONE]")
    if model is Completion:  # null until the end, as OpenAI's own streams say, though its schema has no null there
        events = [(e, data.replace('"finish_reason":null', '"finish_reason":"stop"')) for e, data in events]
    return [read(model, data, REASONING) for _, data in events[:-1]]


CHATS = {
    "plain": {},
    "several answers": {"n": 2, "seed": 1},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "usage": {"stream_options": {"include_usage": True}},
    "a call": {"tools": TOOLS, "tool_choice": "required", "max_tokens": 150},
    "tools that may be called": {"tools": TOOLS},
    "json": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
}
for name, fields in CHATS.items():
    @check(f"chat: {name}")
    def _():
        ask = {"messages": QUESTION, "max_tokens": 8, "temperature": 0, **fields}
        whole = read(ChatCompletion, post("/v1/chat/completions", **{k: v for k, v in ask.items() if k != "stream_options"}),
                     REASONING)
        streamed = chunks("/v1/chat/completions", ChatCompletionChunk, **ask)
        text = "".join(c.delta.content or "" for chunk in streamed for c in chunk.choices if c.index == 0)
        assert text == (whole.choices[0].message.content or ""), text
        calls = [t for chunk in streamed for c in chunk.choices for t in c.delta.tool_calls or []]
        wanted = whole.choices[0].message.tool_calls or []
        assert "".join(t.function.arguments or "" for t in calls) == "".join(t.function.arguments for t in wanted)
        assert bool(wanted) == (name == "a call")
        ends = [c.finish_reason for chunk in streamed for c in chunk.choices if c.finish_reason]
        assert ends == [c.finish_reason for c in whole.choices]
        if "stream_options" in fields:
            assert streamed[-1].choices == [] and streamed[-1].usage == whole.usage
            assert all(chunk.usage is None for chunk in streamed[:-1])

TEXTS = {
    "plain": {},
    "several prompts": {"prompt": ["One,", "Two,"], "echo": True},
    "token ids": {"prompt": [[1, 2, 3], [4]]},
    "logprobs": {"logprobs": 2},
    "usage": {"stream_options": {"include_usage": True}},
}
for name, fields in TEXTS.items():
    @check(f"completions: {name}")
    def _():
        ask = {"prompt": "One, two,", "max_tokens": 4, "temperature": 0, **fields}
        whole = read(Completion, post("/v1/completions", **ask))
        streamed = chunks("/v1/completions", Completion, **ask)
        for i, choice in enumerate(whole.choices):
            assert choice.index == i
            assert "".join(c.text for chunk in streamed for c in chunk.choices if c.index == i) == choice.text

ANSWERS = {
    "plain": {},
    "instructions, items": {"instructions": "Be brief.", "input": [{"role": "user", "content": "Hi."}],
                            "metadata": {"a": "b"}, "store": False},
    "a call": {"tools": [{"type": "function", "strict": True, **TOOLS[0]["function"]}], "tool_choice": "required",
               "max_output_tokens": 150},
    "json": {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}}},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
}
for name, fields in ANSWERS.items():
    @check(f"responses: {name}")
    def _():
        ask = {"input": "Name the four seasons.", "max_output_tokens": 12, "temperature": 0, **fields}
        whole = read(Response, post("/v1/responses", **ask))
        events = server_sent_events(post("/v1/responses", stream=True, **ask))
        read_events = [read(ResponseStreamEvent, data) for _, data in events]
        assert [e.type for e in read_events] == [event for event, _ in events]
        assert [e.sequence_number for e in read_events] == list(range(len(events)))
        final = read_events[-1].response
        assert final.output_text == whole.output_text
        assert final.usage == whole.usage and final.status == whole.status
        text = "".join(e.delta for e in read_events if e.type == "response.output_text.delta")
        assert text == whole.output_text
        called = [item.arguments for item in whole.output if item.type == "function_call"]
        assert called == [e.arguments for e in read_events if e.type == "response.function_call_arguments.done"]
        assert bool(called) == (name == "a call")
        if name == "json":
            assert 1 <= json.loads(text)["n"] <= 9
        stored = http.get(f"/v1/responses/{whole.id}")
        assert stored.status_code == (404 if fields.get("store") is False else 200)
        if stored.status_code == 200:
            assert read(Response, stored.text) == whole


@check("embeddings: numbers and base64")
def _():
    read(CreateEmbeddingResponse, post("/v1/embeddings", input=["a", "b"]))
    body = json.loads(post("/v1/embeddings", input="a", encoding_format="base64"))
    assert isinstance(body["data"][0]["embedding"], str)


@check("models")
def _():
    ours = ("max_model_len", "tinderbox")  # vLLM's, and what this server adds
    body = http.get("/v1/models").json()
    assert body["object"] == "list"
    for one in body["data"]:
        read(Model, json.dumps(one), ours)
        read(Model, http.get(f"/v1/models/{one['id']}").text, ours)


finish()
