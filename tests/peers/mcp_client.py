"""PyPI's `mcp` client with its own OAuth, against a gateway it knows nothing of but the address of an MCP server.

`{"url": …, "user": …}` on standard input; what it found out and got, on standard output. Where a browser would
be opened, a script fills in the provider's two forms.
"""

import asyncio
import json
import re
import sys
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

# Nobody listens there: the script stops before it would be asked.
REDIRECT = "http://127.0.0.1:1/callback"
LIMIT = 60


class Memory:
    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Person:
    """Logs in and consents at a provider, as a person would in a browser."""

    def __init__(self, user):
        self.user = user
        self.asked = None
        self.redirected = None

    async def redirect(self, url):
        self.asked = dict(parse_qs(urlsplit(url).query))
        async with httpx.AsyncClient(timeout=10) as browser:
            for _ in range(20):
                response = await browser.get(url)
                while not response.is_redirect:
                    assert response.status_code == 200, response.text
                    action = re.search(r'<form[^>]*action="([^"]+)"', response.text).group(1)
                    prompt = re.search(r'name="prompt" value="([^"]+)"', response.text).group(1)
                    form = {"prompt": prompt}
                    if prompt == "login":
                        form |= {"login": self.user, "password": "anything"}
                    response = await browser.post(urljoin(str(response.url), action), data=form)
                url = urljoin(str(response.url), response.headers["location"])
                if url.startswith(REDIRECT):
                    self.redirected = dict(parse_qs(urlsplit(url).query))
                    return
        raise RuntimeError("the provider never came back")

    async def callback(self):
        one = {name: values[0] for name, values in self.redirected.items()}
        return AuthorizationCodeResult(code=one["code"], state=one.get("state"), iss=one.get("iss"))


async def run(asked):
    person, memory = Person(asked["user"]), Memory()
    seen = []

    async def record(response):
        seen.append([response.request.method, str(response.request.url), response.status_code])

    oauth = OAuthClientProvider(
        server_url=asked["url"],
        client_metadata=OAuthClientMetadata(client_name="attach-test", redirect_uris=[REDIRECT]),
        storage=memory,
        redirect_handler=person.redirect,
        callback_handler=person.callback,
    )
    async with httpx2.AsyncClient(auth=oauth, timeout=20, event_hooks={"response": [record]}) as http:
        async with Client(streamable_http_client(asked["url"], http_client=http)) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool("whoami", {})
    metadata = oauth.context.protected_resource_metadata
    return {
        "tools": tools,
        "whoami": result.content[0].text,
        "resource": str(metadata.resource),
        "authorization_servers": [str(server) for server in metadata.authorization_servers],
        "asked": person.asked,
        "scope": memory.tokens.scope,
        "seen": seen,
    }


if __name__ == "__main__":
    found = asyncio.run(asyncio.wait_for(run(json.load(sys.stdin)), LIMIT))
    json.dump(found, sys.stdout)
