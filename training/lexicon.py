"""What callers say and what their lines let through, as tables to read and to extend.

A backchannel leaves the turn with the agent; an interruption takes it. ``phonemes`` (Kokoro's
alphabet) stand where a spelling wouldn't be spoken right.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Phrase:
    """One thing to say.

    ``family`` groups phrases that do the same work: the manifest's ``kind``. ``brief`` phrases
    can be said in about 0.3 s.
    """

    text: str
    family: str
    language: str = "en"
    phonemes: str = ""
    brief: bool = False


def _all(family: str, texts: str, language: str = "en", brief: bool = False) -> tuple[Phrase, ...]:
    """Phrases separated by ``/``; ``text=phonemes`` where the spelling doesn't do."""
    phrases = []
    for entry in texts.split("/"):
        text, _, phonemes = entry.strip().partition("=")
        phrases.append(Phrase(text, family, language, phonemes, brief))
    return tuple(phrases)


BACKCHANNELS: tuple[Phrase, ...] = (
    *_all("nasal", "mm=mː. / mhm=mhˈm. / hm=hˈm. / mm=ˈm.", brief=True),
    *_all("nasal", "mm-hmm=mːhˈmː. / mm-hmm=ˈmːhˌmː. / hmm=hmː. / mm mm=mˈm mˌm. / mmm=mːː."),
    *_all("hum", "uh-huh=ˈʌhˌʌ. / uh-huh=ʌhˈʌ. / ah=ˈɑː. / oh=ˈO. / ooh=ˈuː. / aha=ɑhˈɑː."),
    *_all("hum", "ah / oh / uh=ˈʌ.", brief=True),
    *_all("agreement", "yeah / yep / yes / right / sure / true / yup", brief=True),
    *_all("agreement", "yeah, yeah / yes, yes / right, right / uh, yeah / oh yeah / yes, sure"),
    *_all("agreement", "of course / exactly / absolutely / definitely / totally / that's right"),
    *_all("agreement", "that's true / I agree / for sure / you're right / yeah, right, sure"),
    *_all("acknowledgement", "okay / 'kay=kˈA. / good / fine / cool", brief=True),
    *_all("acknowledgement", "okay, okay / okay, yeah / all right / got it / I see / I know"),
    *_all("acknowledgement", "sounds good / makes sense / very good / no problem / fair enough"),
    *_all("acknowledgement", "oh, okay / ah, I see / okay, good / understood / gotcha / perfect"),
    *_all("surprise", "wow / really? / oh wow / no way / oh really? / interesting / oh, nice"),
    *_all("feeling", "great / nice / oh dear / oh no / that's nice / oh good / thank goodness"),
    *_all("agreement", "sí / claro / vale", "es", brief=True),
    *_all("acknowledgement", "ya veo / de acuerdo / sí, sí / ajá / muy bien", "es"),
    *_all("agreement", "oui / ouais / bien", "fr", brief=True),
    *_all("acknowledgement", "d'accord / je vois / oui, oui / très bien / ah bon", "fr"),
    *_all("agreement", "sì / certo / va bene / sì, sì / ho capito / esatto", "it"),
    *_all("agreement", "sim / claro / está bem / com certeza / entendi", "pt"),
    *_all("agreement", "हाँ / अच्छा / ठीक है / जी हाँ / सही", "hi"),
    *_all("agreement", "ja / genau / ach so / stimmt / verstehe", "de"),
    *_all("agreement", "はい=hˈaj. / うん=ˈɯɴ. / ええ=ˈeː. / そうですね=sˈoː desɯ ne.", "ja"),
    *_all("agreement", "对=twˈej. / 嗯=ˈəŋ. / 好的=xˈaw tə. / 是的=ʂˈɨ tə.", "zh"),
)
"""Listeners' noises and words that ask for nothing."""

INTERRUPTIONS: tuple[Phrase, ...] = (
    *_all("short", "wait! / stop! / no, no. / hold on. / hey! / sorry? / excuse me. / hang on."),
    *_all("stop", "wait, stop, I want the other one. / stop, please, that's enough."),
    *_all("stop", "hold on a second, let me get a pen. / wait, wait, go back to the first one."),
    *_all("stop", "no, stop, you're not listening to me."),
    *_all("stop", "one moment, there's somebody at the door."),
    *_all("stop", "okay, stop there for a moment. / please slow down, I can't follow you."),
    *_all("yeah, but", "yeah, but that's not what I asked for."),
    *_all("yeah, but", "yes, but I already paid that bill."),
    *_all("yeah, but", "right, but what about the delivery? / okay, but I need it before Friday."),
    *_all("yeah, but", "mm, no, I don't think that's correct."),
    *_all("yeah, but", "uh-huh, but can I change it later?"),
    *_all("yeah, but", "sure, but who's going to pay for it? / I see, but my number has changed."),
    *_all("yeah, but", "oh, actually, could we do that tomorrow?"),
    *_all("yeah, but", "yeah, no, that doesn't work for me."),
    *_all("correction", "no, I said the fifteenth, not the fiftieth. / that's the wrong address."),
    *_all("correction", "it's spelled with a K, not with a C. / no, my name is Peterson."),
    *_all("correction", "actually, it was two tickets, not three. / not Boston, I said Austin."),
    *_all("correction", "no, the other account, please. / that isn't my phone number any more."),
    *_all("question", "how much is that going to cost me? / can you repeat the last number?"),
    *_all("question", "what time do you close today? / sorry, what was your name again?"),
    *_all("question", "is there a cheaper one? / do I have to pay in advance?"),
    *_all("question", "what does that mean?"),
    *_all("question", "can I speak to a real person, please? / when will it arrive exactly?"),
    *_all("answer", "the second one, please. / I'd like to cancel my order."),
    *_all("answer", "my code is four two seven."),
    *_all("answer", "I need to talk to somebody about a refund. / just send it to me by email."),
    *_all("answer", "I don't want any of those, thank you."),
    *_all("answer", "let's take the one on Tuesday morning."),
    *_all("answer", "I've got to go, can I call you back? / it's about my internet connection."),
    *_all("stop", "espere un momento, por favor. / no, eso no es lo que pedí.", "es"),
    *_all("question", "¿cuánto cuesta el envío? / sí, pero ya lo he pagado.", "es"),
    *_all("stop", "attendez une seconde, s'il vous plaît. / non, ce n'est pas ça.", "fr"),
    *_all("question", "oui, mais c'est combien exactement?"),
    *_all("question", "je voudrais parler à quelqu'un.", "fr"),
    *_all("stop", "aspetti un attimo, per favore. / no, volevo l'altro.", "it"),
    *_all("question", "sì, ma quanto costa? / può ripetere il numero?", "it"),
    *_all("stop", "espera, não é isso que eu quero. / sim, mas quando chega?", "pt"),
    *_all("stop", "रुकिए, मुझे दूसरा चाहिए। / कृपया फिर से बताइए।", "hi"),
)
"""Callers who want the turn."""

OWN_TURNS: tuple[Phrase, ...] = (
    *_all("own turn", "hi, I'm calling about my last bill. / could you tell me my balance?"),
    *_all("own turn", "I'd like to book a table for two. / what are my options then?"),
    *_all("own turn", "yes, that's my account. / I lost my card yesterday evening."),
)
"""What a caller says before the agent replies: no overlap."""

NOISES: dict[str, str] = {
    "cough": "one or two coughs, computed",
    "throat": "clearing the throat, computed",
    "knock": "knocks on a desk, computed",
    "typing": "keys, computed",
    "breath": "a breath into the microphone, computed",
    "hiss": "line hiss coming up, computed",
    "crackle": "a bad contact, computed",
    "hum": "mains hum, computed",
    "dtmf": "keys of the telephone's pad, computed",
    "ring": "another telephone, computed",
    "effect": "doors, impacts, bells, electronic blips: recorded (sonic-pi-samples)",
    "game": "a game's effects and music: recorded (teeworlds-data)",
    "grunt": "a human grunt without words: recorded (teeworlds-data)",
    "music": "music on hold: recorded (asterisk-moh-opsound-wav)",
    "tv": "a person speaking in a room, over music, as from a TV: mixed",
}
"""Kind of noise -> what it is."""
