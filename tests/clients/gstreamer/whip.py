"""A publisher by GStreamer's webrtcbin and WHIP (RFC 9725): sends a file as its microphone, and tells on standard
output, a line of JSON each, what it saw. It ends when its standard input does.

whip.py URL TOKEN FILE
"""

import hashlib
import json
import re
import ssl
import subprocess
import sys
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PIPELINE = """
webrtcbin name=peer bundle-policy=max-bundle
filesrc location="{file}" ! wavparse ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=2
  ! identity sync=true ! opusenc inband-fec=true ! rtpopuspay pt=111
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=111,encoding-params=(string)2 ! peer.
"""


def certificate() -> str:
    """By ECDSA: the RSA that webrtcbin makes for itself is none of WebRTC's mandatory ones (RFC 8827 6.5)."""
    made = subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
        " -subj /CN=webrtc -keyout - -out -".split(),
        capture_output=True,
        check=True,
        text=True,
    )
    return made.stdout


def fingerprint(pem: str) -> str:
    certificate = pem[pem.index("-----BEGIN CERTIFICATE") :]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest().hex(":").upper()


def tell(**said: object) -> None:
    print(json.dumps(said), flush=True)


class Publisher:
    def __init__(self, url: str, token: str, file: str) -> None:
        self.url, self.token = url, token
        self.session = None
        self.pipeline = Gst.parse_launch(PIPELINE.format(file=file))
        self.peer = self.pipeline.get_by_name("peer")
        self.pem = certificate()
        self.peer.connect("deep-element-added", self.added)
        self.peer.connect("on-negotiation-needed", self.negotiate)
        self.peer.connect("notify::ice-gathering-state", self.gathered)
        self.peer.connect("notify::connection-state", self.changed)

    def added(self, _bin: Gst.Bin, _sub: Gst.Bin, element: Gst.Element) -> None:
        if element.get_factory().get_name() == "dtlsdec":
            element.set_property("pem", self.pem)

    def negotiate(self, peer: Gst.Element) -> None:
        promise = Gst.Promise.new_with_change_func(self.offer, None)
        peer.emit("create-offer", None, promise)

    def offer(self, promise: Gst.Promise, _: object) -> None:
        reply = promise.get_reply()
        # Read while the reply lives, which owns it.
        _, sdp = GstSdp.SDPMessage.new_from_text(reply.get_value("offer").sdp.as_text())
        offer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, sdp)
        self.peer.emit("set-local-description", offer, None)

    def gathered(self, peer: Gst.Element, _: object) -> None:
        if peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            # Not on the thread that tells of it.
            GLib.idle_add(self.publish)

    def publish(self) -> bool:
        offer = self.peer.get_property("local-description").sdp.as_text()
        # webrtcbin 1.22 takes the fingerprint over certificate and key together, when they are given.
        offer = re.sub(r"a=fingerprint:.*?\r\n", f"a=fingerprint:sha-256 {fingerprint(self.pem)}\r\n", offer)
        request = urllib.request.Request(
            self.url,
            data=offer.encode(),
            headers={"Content-Type": "application/sdp", "Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request) as response:
            self.session, answer = response.headers["Location"], response.read().decode()
        tell(offer=offer, answer=answer)
        _, sdp = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.peer.emit("set-remote-description", description, None)
        return False

    def changed(self, peer: Gst.Element, _: object) -> None:
        tell(state=peer.get_property("connection-state").value_nick)

    def end(self) -> None:
        if self.session:
            request = urllib.request.Request(
                self.session, method="DELETE", headers={"Authorization": f"Bearer {self.token}"}
            )
            urllib.request.urlopen(request).close()
        self.pipeline.set_state(Gst.State.NULL)


def main(url: str, token: str, file: str) -> None:
    Gst.init(None)
    loop = GLib.MainLoop()
    publisher = Publisher(url, token, file)
    bus = publisher.pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: tell(error=str(message.parse_error())))
    GLib.io_add_watch(sys.stdin, GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
    publisher.pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    publisher.end()


main(*sys.argv[1:])
