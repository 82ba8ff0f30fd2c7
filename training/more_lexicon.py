"""What callers say to take the turn, in more words than a table of phrases would hold.

Interruptions are an open class: what a judge must learn is that *none* of them begins like a
backchannel goes on. So openers and what follows them are combined by lot, each combination once,
rather than a few sentences many times. None is a phrase of
:data:`~training.lexicon.INTERRUPTIONS`, which figures are measured on.
"""

from __future__ import annotations

import numpy as np

from training.lexicon import INTERRUPTIONS, Phrase, _all

_OPENERS: tuple[tuple[str, str], ...] = (
    ("", "wait, / no, / sorry, / actually, / hold on, / excuse me, / stop, / hey, / listen,"),
    ("yeah, but", "yeah, but / okay, but / yes, and / right, but / well, / oh, / um, / uh, / so,"),
    ("yeah, but", "yeah, so / sure, but / I see, but / mm, / no, but / okay, so / ah, / hmm,"),
)
"""(Family where it isn't the tail's, openers)."""

_TAILS: tuple[tuple[str, str], ...] = (
    ("question", "can you say that again / how much is it / what's the price / where is that"),
    ("question", "who told you that / what about the warranty / is that with tax / when is it due"),
    ("question", "could I get a receipt / do you take cash / which day was that / why is that"),
    ("question", "does that include shipping / what number is this / how far is it / are you open"),
    (
        "question",
        "will you send me an email / did you say ten / is there parking / what if I can't",
    ),
    ("correction", "that's not my name / I said Tuesday / it's the other way round / I paid it"),
    ("correction", "that's too late for me / I never got it / it was in June / my card was stolen"),
    ("correction", "you have the wrong person / it's a different number / we moved in April"),
    ("correction", "that was last week / the total is wrong / I only want one / it's not broken"),
    ("answer", "I want to cancel / I need a doctor / let me speak to someone / give me a minute"),
    ("answer", "my phone is dying / the line is bad / I can't hear you / I'm driving right now"),
    ("answer", "just the first one / make it two / book the early flight / put it on my account"),
    ("answer", "there's a problem with my bill / the app keeps crashing / my order is late"),
    (
        "answer",
        "two five nine, eight one / it starts with a B / she's not at home / I'll call back",
    ),
    (
        "answer",
        "we don't need that / I already have one / take me off your list / I'm not interested",
    ),
    ("stop", "let me finish / that's enough / one thing first / before you go on / I have to ask"),
    ("stop", "let me write that down / go back a bit / you're too fast / not so quickly"),
)

COMBINED = 420
"""Combinations drawn, of some 1,500."""


def combined() -> tuple[Phrase, ...]:
    """The combinations, the same each time."""
    tails = [(family, tail.strip()) for family, texts in _TAILS for tail in texts.split("/")]
    found: list[Phrase] = []
    for family, texts in _OPENERS:
        for opener in texts.split("/"):
            for own, tail in tails:
                mark = "?" if own == "question" else "."
                found.append(Phrase(f"{opener.strip()} {tail}{mark}", family or own))
    found += [Phrase(f"{tail}{'?' if own == 'question' else '.'}", own) for own, tail in tails]
    heard = {phrase.text for phrase in INTERRUPTIONS}
    order = np.random.default_rng(88).permutation(len(found))
    drawn = [found[int(i)] for i in order if found[int(i)].text not in heard]
    return tuple(drawn[:COMBINED])


BRIEF_INTERRUPTIONS: tuple[Phrase, ...] = (
    *_all("short", "wait / stop / no / hold on / sorry? / sorry / hey / what? / hello? / pause"),
    *_all("short", "no wait / no no / wait wait / stop stop / hang on / hold it / excuse me"),
    *_all("short", "hold on! / hang on! / no! no! / wait wait wait! / stop it! / hey, wait!"),
    *_all("short", "just a sec / one sec / a moment / question! / repeat / again? / louder"),
    *_all("short", "wrong / not that / go back / next / skip / cancel / quit / shut up / enough"),
    *_all("short", "but / but wait / actually / however / listen / look / um, no / er, sorry"),
    *_all("short", "what was that? / who? / where? / when? / how much? / which one? / why?"),
    *_all("short", "¡espera! / ¡para! / ¡no! / un momento / perdón / ¿cómo? / oiga", "es"),
    *_all("short", "attendez! / non! / stop! / pardon? / une minute / un instant / écoutez", "fr"),
    *_all("short", "aspetti! / no! / ferma! / scusi? / un attimo / senta / come?", "it"),
    *_all("short", "espera! / não! / para! / um momento / desculpa? / escuta", "pt"),
    *_all("short", "warte! / halt! / nein! / Moment! / Entschuldigung? / wie bitte?", "de"),
    *_all("short", "стой! / нет! / подождите! / минутку / что? / извините", "ru"),
    *_all("short", "रुको! / नहीं! / सुनो! / एक मिनट / क्या?", "hi"),
)
"""Single words and such, which come as short as backchannels do."""

LONGER_BACKCHANNELS: tuple[Phrase, ...] = (
    *_all("agreement", "yeah, yeah, I know / yeah, that makes sense / yeah, no, I get that"),
    *_all(
        "agreement", "yes, that's right / okay, yeah, sure / right, that's true / oh yeah, totally"
    ),
    *_all(
        "agreement",
        "mm-hmm, yeah=mːhˈmː, jˈɛə. / mm-hmm, mm-hmm=mːhˈmː, mːhˈmː. / uh-huh, right=ˈʌhˌʌ, ɹˈIt.",
    ),
    *_all(
        "agreement", "uh-huh, uh-huh=ˈʌhˌʌ ˈʌhˌʌ. / mm-hmm, okay=mːhˈmː, OkˈA. / mm, sure=mː, ʃˈʊɹ."
    ),
    *_all("acknowledgement", "okay, I see / ah, okay, I see / oh, I see, okay / right, okay, yeah"),
    *_all(
        "acknowledgement", "okay, that's good / okay, sounds good / all right, got it / I get it"
    ),
    *_all(
        "acknowledgement", "that's cool / sure thing / that's okay / oh okay, great / okay, thanks"
    ),
    *_all(
        "surprise", "oh really, wow / no, really? / oh, that's interesting / huh, okay / oh my gosh"
    ),
    *_all(
        "feeling",
        "oh, that's great / oh, that's good / aw, that's nice / oh, I'm sorry to hear that",
    ),
)
"""Listeners who say more than a word."""
