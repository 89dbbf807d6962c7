"""A participant by aiortc: joins by signaling, sends a file as its microphone, and tells on standard output, a line of
JSON each, what it saw. It ends when its standard input does.

run.py SIGNAL_URL TOKEN FILE all|relay
"""

import asyncio
import json
import re
import sys

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.contrib.media import MediaPlayer
from websockets.asyncio.client import ClientConnection, connect


def tell(**said: object) -> None:
    print(json.dumps(said), flush=True)


async def ask(socket: ClientConnection, kind: str, data: object) -> dict:
    """Says it; what others say before the answer is told and passed over."""
    await socket.send(json.dumps({"type": kind, "id": kind, "data": data}))
    while True:
        message = json.loads(await socket.recv())
        if message.get("re") == kind:
            if message["type"] == "error":
                raise SystemExit(f"{kind}: {message['data']}")
            return message["data"]


async def until_input_ends() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def listen(socket: ClientConnection) -> None:
    """Reads on, as a client does: the server closes the socket of one that does not, or says nothing."""
    while True:
        try:
            await asyncio.wait_for(socket.recv(), 10)
        except TimeoutError:
            await socket.send(json.dumps({"type": "ping"}))


async def main(url: str, token: str, file: str, policy: str) -> None:
    async with connect(url, subprotocols=["hansard.v1"]) as socket:
        joined = await ask(socket, "join_room", {"token": token})
        servers = [RTCIceServer(**server) for server in joined["iceServers"]]
        connection = RTCPeerConnection(
            RTCConfiguration(
                iceServers=servers,
                iceTransportPolicy=RTCIceTransportPolicy(policy),
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
            )
        )

        @connection.on("connectionstatechange")
        def changed() -> None:
            tell(state=connection.connectionState)

        player = MediaPlayer(file)
        connection.addTrack(player.audio)
        await connection.setLocalDescription(await connection.createOffer())
        candidates = [line for line in connection.localDescription.sdp.splitlines() if "candidate:" in line]
        tell(candidates=candidates)
        # It repeats whatever it is asked for, and declares that for pictures only.
        sdp = re.sub(r"(a=rtpmap:(\d+) opus/48000/2\r\n)", r"\1a=rtcp-fb:\2 nack\r\n", connection.localDescription.sdp)
        answer = await ask(socket, "offer", {"sdp": sdp})
        tell(tracks=answer["tracks"])
        await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        listening = asyncio.create_task(listen(socket))
        await until_input_ends()
        listening.cancel()
        await connection.close()


asyncio.run(main(*sys.argv[1:]))
