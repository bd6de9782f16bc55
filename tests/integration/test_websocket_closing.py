"""A server that stops while a client takes nothing of what it is sent: nobody else is troubled by that."""

import asyncio
from typing import Any

from tests.support.api import Api, Stream, open_socket, served

_BODY = b'{"query": "{ __typename }"}'
_HEAD = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
    _BODY
)


async def test_requests_are_finished_though_a_client_that_takes_nothing_has_closed(api: Api) -> None:
    async with served(api) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(_HEAD + _BODY[:5])
        connection = await open_socket(address)
        await Stream(connection).begin()
        await _close_and_take_nothing(connection, api)
        answer = asyncio.create_task(_finish(reader, writer))
    assert (await answer).startswith(b"HTTP/1.1 200 OK")
    connection.transport.abort()


async def _close_and_take_nothing(connection: Any, api: Api) -> None:
    (socket,) = api.app.state.connections._open
    wire = socket._outlet._wire
    connection.transport.pause_reading()
    while wire.is_ready:
        wire.write([(b"x" * 4_400,)])
    connection.protocol.send_close(1000)
    connection.transport.write(b"".join(connection.protocol.data_to_send()))
    async with asyncio.timeout(5):
        while not wire.transport.is_closing():  # noqa: ASYNC110 -- a connection tells nobody but its application
            await asyncio.sleep(0)
    assert not wire.disconnected


async def _finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The rest of the request, a moment after the server was told to stop; its answer."""
    await asyncio.sleep(0.3)
    writer.write(_BODY[5:])
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer
