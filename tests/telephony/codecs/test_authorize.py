"""Who may open a WebSocket."""

from __future__ import annotations

import base64

from bargein.telephony.codecs import authorize


def test_the_signature_of_twilios_own_example() -> None:
    # The example of Twilio's page on the security of webhooks, with the secret "12345".
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"

    assert authorize.twilio_signature("12345", url, fields) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


def test_twilio() -> None:
    check = authorize.twilio("12345", "wss://bot.example.com/")
    signed = authorize.twilio_signature("12345", "wss://bot.example.com/media?x=1")

    assert check("/media?x=1", {"x-twilio-signature": signed})
    assert not check("/media?x=2", {"x-twilio-signature": signed})
    assert not check("/media?x=1", {"x-twilio-signature": "é"})
    assert not check("/media?x=1", {})


def test_basic() -> None:
    check = authorize.basic("key", "tökén")
    sent = "Basic " + base64.b64encode("key:tökén".encode()).decode()

    assert check("/", {"authorization": sent})
    assert not check("/", {"authorization": "Basic a2V5Og=="})
    assert not check("/", {})
