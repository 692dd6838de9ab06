"""PyPI's `openai` and `ollama`, unchanged, in every way to ask: `{"url", "token", "model"}` on standard input.

Each call is for a project of its own name. On standard output, by that name: the text that came back, and the
input and output tokens that the client was told; where it asked for none, `same_as` names the call that was the
same but for that.
"""

import json
import sys

import ollama
import openai

MESSAGES = [{"role": "user", "content": "Say something, please."}]
# Few, since engines without a GPU are slow on a busy machine.
LIMIT = 8


def with_openai(url, token, model):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=60)
    ask = {"model": model, "max_tokens": LIMIT, "seed": 1, "temperature": 0}

    def project(name):
        return {"X-Attach-Project": name}

    def told(usage):
        return [usage.prompt_tokens, usage.completion_tokens] if usage else None

    def chat(name, **more):
        answer = client.chat.completions.create(**ask, messages=MESSAGES, extra_headers=project(name), **more)
        if "stream" not in more:
            return {"text": answer.choices[0].message.content, "usage": told(answer.usage)}
        parts = list(answer)
        text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        usage = [part.usage for part in parts if part.usage]
        return {"text": text, "usage": told(usage[-1] if usage else None)}

    def completion(name, **more):
        answer = client.completions.create(**ask, prompt="Say something.", extra_headers=project(name), **more)
        if "stream" not in more:
            return {"text": answer.choices[0].text, "usage": told(answer.usage)}
        parts = list(answer)
        usage = [part.usage for part in parts if getattr(part, "usage", None)]
        text = "".join(part.choices[0].text for part in parts if part.choices)
        return {"text": text, "usage": told(usage[-1] if usage else None)}

    asked = {"stream_options": {"include_usage": True}}
    return {
        # The first prompt of its kind is asked twice: an engine's cache makes no difference then.
        "openai-chat": chat("openai-chat"),
        "openai-asked": chat("openai-asked", stream=True, **asked),
        "openai-stream": {**chat("openai-stream", stream=True), "same_as": "openai-asked"},
        "openai-completion": completion("openai-completion"),
        "openai-completion-asked": completion("openai-completion-asked", stream=True, **asked),
        "openai-completion-stream": {
            **completion("openai-completion-stream", stream=True),
            "same_as": "openai-completion-asked",
        },
    }


def with_ollama(url, token, model):
    options = {"num_predict": LIMIT, "seed": 1, "temperature": 0}

    def client(name):
        headers = {"Authorization": f"Bearer {token}", "X-Attach-Project": name}
        return ollama.Client(host=url, headers=headers, timeout=60)

    def told(part):
        return [part.prompt_eval_count, part.eval_count]

    def chat(name):
        answer = client(name).chat(model=model, messages=MESSAGES, options=options)
        return {"text": answer.message.content, "usage": told(answer)}

    def chat_stream(name):
        parts = list(client(name).chat(model=model, messages=MESSAGES, options=options, stream=True))
        return {"text": "".join(part.message.content or "" for part in parts), "usage": told(parts[-1])}

    def generate(name):
        answer = client(name).generate(model=model, prompt="Say something.", options=options)
        return {"text": answer.response, "usage": told(answer)}

    def generate_stream(name):
        parts = list(client(name).generate(model=model, prompt="Say something.", options=options, stream=True))
        return {"text": "".join(part.response or "" for part in parts), "usage": told(parts[-1])}

    calls = {
        "ollama-chat": chat,
        "ollama-chat-stream": chat_stream,
        "ollama-generate": generate,
        "ollama-generate-stream": generate_stream,
    }
    return {name: call(name) for name, call in calls.items()}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    arguments = (asked["url"], asked["token"], asked["model"])
    json.dump({**with_openai(*arguments), **with_ollama(*arguments)}, sys.stdout)
