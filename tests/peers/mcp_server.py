"""An MCP server by PyPI's `mcp`, over streamable HTTP at /mcp, as the engine behind a gateway: `mcp_server.py PORT`.

It asks for no token: that is the gateway's work. Its one tool says whom the gateway says it is talking to.
"""

import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("behind-the-gateway")


@server.tool()
def whoami(ctx: Context) -> str:
    """The caller, as the gateway stamped it."""
    return ctx.headers.get("x-attach-user", "nobody")


class Ready(uvicorn.Server):
    """Says that it listens, on a line of its own."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        print("ready", flush=True)


if __name__ == "__main__":
    app = server.streamable_http_app(host="127.0.0.1")
    Ready(uvicorn.Config(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")).run()
