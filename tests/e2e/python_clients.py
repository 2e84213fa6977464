"""python python_clients.py URL: the openai and litellm packages against a running server, as a user has them."""

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # nothing is fetched from elsewhere
os.environ["HF_HUB_OFFLINE"] = "1"

import litellm
import openai
import pydantic

from check import check, finish

URL = sys.argv[1] + "/v1"
client = openai.OpenAI(base_url=URL, api_key="none", max_retries=0, timeout=120)
MODEL = client.models.list().data[0].id
QUESTION = [{"role": "user", "content": "Name the four seasons."}]


class Cat(pydantic.BaseModel):
    model_config = {"extra": "forbid"}
    lives: int = pydantic.Field(ge=1, le=9)


@check("openai: chat, whole and streamed")
def _():
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=12, temperature=0)
    with client.chat.completions.stream(model=MODEL, messages=QUESTION, max_tokens=12, temperature=0) as stream:
        text = "".join(e.delta for e in stream if e.type == "content.delta")
    assert text == whole.choices[0].message.content != ""


@check("openai: an answer parsed as a class")
def _():
    r = client.chat.completions.parse(model=MODEL, messages=QUESTION, max_tokens=60, response_format=Cat)
    assert 1 <= r.choices[0].message.parsed.lives <= 9
    r = client.responses.parse(model=MODEL, input="A cat.", max_output_tokens=60, text_format=Cat)
    assert 1 <= r.output_parsed.lives <= 9


@check("openai: a tool's class")
def _():
    r = client.chat.completions.parse(model=MODEL, messages=QUESTION, max_tokens=150, tools=[openai.pydantic_function_tool(Cat)],
                                      tool_choice="required")
    call = r.choices[0].message.tool_calls[0]
    assert call.function.name == "Cat" and 1 <= call.function.parsed_arguments.lives <= 9


@check("openai: responses, whole, streamed, gone on from")
def _():
    whole = client.responses.create(model=MODEL, input="Hello.", max_output_tokens=8, temperature=0)
    ask = {"model": MODEL, "input": "Hello.", "max_output_tokens": 8, "temperature": 0}
    events = list(client.responses.create(**ask, stream=True))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == events[-1].response.output_text == whole.output_text != ""
    with client.responses.stream(model=MODEL, input="A cat.", max_output_tokens=60, text_format=Cat) as stream:
        assert 1 <= stream.get_final_response().output_parsed.lives <= 9
    after = client.responses.create(model=MODEL, input="More.", previous_response_id=whole.id, max_output_tokens=8)
    assert after.usage.input_tokens > whole.usage.input_tokens
    assert client.responses.retrieve(whole.id).output_text == whole.output_text
    client.responses.delete(whole.id)
    try:
        client.responses.retrieve(whole.id)
        assert False, "it was deleted"
    except openai.NotFoundError as e:
        assert e.code == "response_not_found"


@check("openai: embeddings, which it asks for in base64")
def _():
    r = client.embeddings.create(model=MODEL, input=["a", "b"])
    plain = client.embeddings.create(model=MODEL, input=["a", "b"], encoding_format="float")
    for one, other in zip(r.data, plain.data):
        assert all(abs(x - y) < 1e-5 for x, y in zip(one.embedding, other.embedding))


@check("openai: errors have their classes")
def _():
    wrong = [
        (openai.NotFoundError, lambda: client.chat.completions.create(model="nobody", messages=QUESTION)),
        (openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages=[])),
        (openai.BadRequestError, lambda: client.responses.create(model=MODEL, input=[])),
        (openai.BadRequestError, lambda: client.embeddings.create(model=MODEL, input=[])),
        (openai.BadRequestError, lambda: client.completions.create(model=MODEL, prompt="x", temperature=9)),
    ]
    for kind, ask in wrong:
        try:
            ask()
            assert False, "it was answered"
        except kind as e:
            assert e.body["message"] and e.type == "invalid_request_error", e


@check("litellm: completion, streamed, tools, embedding, responses")
def _():
    where = {"model": f"openai/{MODEL}", "api_base": URL, "api_key": "none", "num_retries": 0}
    ask = {**where, "messages": QUESTION, "max_tokens": 12, "temperature": 0}
    whole = litellm.completion(**ask)
    assert whole.choices[0].message.content and whole.usage.completion_tokens <= 12
    text = "".join(c.choices[0].delta.content or "" for c in litellm.completion(**ask, stream=True) if c.choices)
    assert text == whole.choices[0].message.content
    tools = [{"type": "function", "function": {"name": "look", "parameters": {
        "type": "object", "properties": {"at": {"enum": ["sun", "moon"]}}, "required": ["at"]}}}]
    called = litellm.completion(**{**ask, "max_tokens": 150}, tools=tools, tool_choice="required")
    call = called.choices[0].message.tool_calls[0].function
    assert call.name == "look" and json.loads(call.arguments)["at"] in ("sun", "moon")
    assert len(litellm.embedding(**where, input=["a"]).data) == 1
    answered = litellm.responses(**where, input="Hello.", max_output_tokens=8, temperature=0)
    assert answered.output[-1].content[0].text
    hosted = litellm.completion(**{**ask, "model": f"hosted_vllm/{MODEL}"})
    assert hosted.choices[0].message.content == whole.choices[0].message.content


@check("litellm: errors have their classes")
def _():
    try:
        litellm.completion(model="openai/nobody", api_base=URL, api_key="none", messages=QUESTION, num_retries=0)
        assert False, "it was answered"
    except litellm.NotFoundError:
        pass


finish()
