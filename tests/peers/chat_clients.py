"""Talks to a model through the gateway with the clients that people use: `chat_clients.py GATEWAY MODEL`.

The token is in ATTACH_TOKEN. Every way to ask is tried, streamed and not; what came back is printed as one
JSON object, for the test to judge.
"""

import json
import os
import sys

import ollama
import openai

MESSAGES = [{"role": "user", "content": "Say something."}]
LIMIT = 16


def with_ollama(gateway, model, token):
    client = ollama.Client(host=gateway, headers={"Authorization": f"Bearer {token}"})
    options = {"num_predict": LIMIT, "seed": 1, "temperature": 0}
    whole = client.chat(model=model, messages=MESSAGES, options=options)
    parts = list(client.chat(model=model, messages=MESSAGES, options=options, stream=True))
    generated = client.generate(model=model, prompt="Say something.", options=options)
    generated_parts = list(client.generate(model=model, prompt="Say something.", options=options, stream=True))
    return {
        "models": [entry.model for entry in client.list().models],
        "chat": whole.message.content,
        "chat_tokens": whole.eval_count,
        "chat_stream": "".join(part.message.content for part in parts),
        "chat_stream_parts": len(parts),
        "chat_stream_done": parts[-1].done,
        "chat_stream_tokens": parts[-1].eval_count,
        "generate": generated.response,
        "generate_stream": "".join(part.response for part in generated_parts),
        "generate_stream_parts": len(generated_parts),
    }


def with_openai(gateway, model, token):
    client = openai.OpenAI(base_url=f"{gateway}/v1", api_key=token, max_retries=0, timeout=120)
    ask = {"model": model, "messages": MESSAGES, "max_tokens": LIMIT, "seed": 1, "temperature": 0}
    whole = client.chat.completions.create(**ask)
    usage = {"include_usage": True}
    parts = list(client.chat.completions.create(**ask, stream=True, stream_options=usage))
    return {
        "models": [entry.id for entry in client.models.list().data],
        "chat": whole.choices[0].message.content,
        "chat_tokens": whole.usage.completion_tokens,
        "chat_stream": "".join(part.choices[0].delta.content or "" for part in parts if part.choices),
        "chat_stream_parts": len(parts),
        "chat_stream_tokens": parts[-1].usage.completion_tokens if parts[-1].usage else None,
    }


def without_a_token(gateway, model):
    """The status with which each client is refused."""
    refused = {}
    try:
        ollama.Client(host=gateway).chat(model=model, messages=MESSAGES)
    except ollama.ResponseError as error:
        refused["ollama"] = error.status_code
    try:
        client = openai.OpenAI(base_url=f"{gateway}/v1", api_key="not-a-token", max_retries=0)
        client.chat.completions.create(model=model, messages=MESSAGES)
    except openai.AuthenticationError as error:
        refused["openai"] = error.status_code
    return refused


def main(gateway, model):
    token = os.environ["ATTACH_TOKEN"]
    print(
        json.dumps(
            {
                "ollama": with_ollama(gateway, model, token),
                "openai": with_openai(gateway, model, token),
                "refused": without_a_token(gateway, model),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
