"""Listening to the loopback interface: what RTP went by, and when. Linux, root."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time

import attrs
import numpy as np

from bargein.audio.g711 import decode_alaw, decode_mulaw
from bargein.errors import ProtocolError
from bargein.telephony.codecs.rtp import PCMA, PCMU, Packet, parse_packet

from .sounds import RATE, Samples

IP = 0x0800
ETH_P_IP = socket.htons(IP)
OUTGOING = 4  # each packet on lo can be seen twice: going out, and coming in


@attrs.frozen
class Seen:
    at: float
    source: int
    target: int
    packet: Packet


class Sniffer:
    """Keeps the G.711 packets between UDP ports of this machine, while it is entered."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sniffer:
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ETH_P_IP)
        self._sock.bind(("lo", IP))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sock.close()

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        while not self._stop.is_set():
            if not poller.poll(100):
                continue
            data, address = self._sock.recvfrom(4_096)
            if address[2] == OUTGOING or data[9] != socket.IPPROTO_UDP:
                continue
            start = (data[0] & 15) * 4
            source, target = struct.unpack_from("!HH", data, start)
            try:
                packet = parse_packet(data[start + 8 :])
            except ProtocolError:
                continue
            if packet.payload_type in (PCMU, PCMA):
                self.seen.append(Seen(time.monotonic(), source, target, packet))

    def heard_from(self, port: int) -> list[Seen]:
        """Return what came from a port."""
        return [seen for seen in list(self.seen) if seen.source == port]

    def heard_at(self, port: int) -> list[Seen]:
        """Return what went to a port."""
        return [seen for seen in list(self.seen) if seen.target == port]


def side_by_side(said: list[Seen], heard: list[Seen]) -> tuple[Samples, Samples]:
    """Return two recordings on one clock.

    What was said stands where it passed the interface; what was heard, where a phone plays it:
    at once, but never before what came sooner is over. What a bridge writes ahead waits there.
    """
    begin = min(said[0].at, heard[0].at) if heard else said[0].at
    end = max([said[-1].at, *(seen.at for seen in heard[-1:])])
    tracks = []
    for packets in (said, heard):
        track = np.zeros(int((end - begin + 0.1) * RATE) + RATE, np.int16)
        at = 0
        for seen in packets:
            law = decode_mulaw if seen.packet.payload_type == PCMU else decode_alaw
            samples = law(seen.packet.payload)
            passed = int((seen.at - begin) * RATE)
            at = max(at, passed) if packets is heard else passed
            track[at : at + samples.size] = samples[: track.size - at]
            at += samples.size
        tracks.append(track)
    return tracks[0], tracks[1]
