"""A bridge for Twilio Media Streams. Put a TLS proxy before it, and its address into twiml.xml."""

import sys
import threading

from bargein import AdaptiveInterruptionDetector
from bargein.cli.answer import read_prompt
from bargein.telephony import Call, Line, MediaStreamsServer, Part

detector = AdaptiveInterruptionDetector(backend="local")
samples, rate = read_prompt(sys.argv[1] if len(sys.argv) > 1 else None)


def answer(line: Line) -> Call:
    call = Call(line, detector)

    @call.on("stopped")
    def stopped(event):
        # What was heard, and nothing else, belongs in a language model's history.
        print(f"the caller heard: {event.prompt.heard_text or '...'}", flush=True)

    call.play(
        Part(samples[: 2 * rate], "Hello, and thank you for calling."),
        Part(samples[2 * rate :], "I am here to be interrupted."),
        sample_rate=rate,
    )
    return call


def main(port: int = 8080) -> None:
    with MediaStreamsServer(answer, "127.0.0.1", port, dialect="twilio") as server:
        print(f"listening on {server.address[1]}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
