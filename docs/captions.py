"""Prints a meeting's events as they come: `python3 docs/captions.py URL KEY MEETING` (Debian: apt install python3-websockets)."""

import asyncio
import json
import sys
from importlib.metadata import version

import websockets

url, key, meeting = sys.argv[1:]


async def main():
    address = url.replace("http", "ws", 1) + "/v1/signal"
    headers = {"Authorization": f"Bearer {key}"}
    # The parameter's name changed with version 14.
    name = "additional_headers" if int(version("websockets").split(".")[0]) >= 14 else "extra_headers"
    async with websockets.connect(address, subprotocols=["hansard.v1"], **{name: headers}) as socket:
        await socket.send(json.dumps({"type": "join_room", "data": {"meetingId": meeting, "lastSeq": 0}}))
        async for text in socket:
            event = json.loads(text)
            data = event["data"]
            if event["type"] == "transcript_update":
                said = data["participant"]["displayName"] + ": " + data["text"]
                print("final  " if data["final"] else "partial", said, flush=True)
            else:
                print(event["type"], data.get("state") or data.get("status") or data.get("displayName") or "", flush=True)


try:
    asyncio.run(main())
except websockets.ConnectionClosed as closed:
    print("closed", closed.code)  # 4000: the meeting has ended
