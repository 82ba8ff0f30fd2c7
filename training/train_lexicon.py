"""What the judge is taught beyond the labelled set's lexicon: more phrases, more languages.

Backchannels are a closed vocabulary, so all of :data:`~training.lexicon.BACKCHANNELS` is taught
too, in voices that the set to report on doesn't hold. Interruptions are not: none of the phrases of
:data:`~training.lexicon.INTERRUPTIONS` is here, so that figures on them are for phrases unheard.
"""

# ruff: noqa: E501  (one row of the table is one line)
from __future__ import annotations

from training.lexicon import BACKCHANNELS, Phrase, _all

MORE_BACKCHANNELS: tuple[Phrase, ...] = (
    *_all("nasal", "mm=mˈm. / mmhm=ˈmhm. / mm-hm=mˈmhˌmː. / hmm=hˈmː. / mm=mːˈː. / nn-hn=nːhˈnː."),
    *_all("nasal", "m-hm=ˈmˌhˈm. / mhm mhm=mhˈm mhˈm. / hm=hmː? / mm=mː? / mhmm=ˈəmhˌəm."),
    *_all(
        "hum", "uh-huh=ˈʌhˌʌ? / eh=ˈɛ. / uh=ˈʌː. / er=ˈɜː. / um=ˈʌm. / ah=ɑː. / oh=Oː. / huh=hˈʌ."
    ),
    *_all(
        "hum",
        "ah-ha=ɑhˈɑ. / oh-ho=ˈOhO. / ooh=uːˈuː. / ha=hˈɑ. / haha=hˈɑhɑ. / heh=hˈɛ. / hehe=hˈɛhɛ.",
    ),
    *_all("hum", "oh / ah / uh / um / huh / hmm / aha / ooh / aw / phew / ugh / eh"),
    *_all("agreement", "yeah=jˈɛə. / yeah=jˈɛː. / yeah=jˈæ. / yep=jˈɛp. / yup=jˈʌp. / ya=jˈɑ."),
    *_all("agreement", "yeah? / yeah! / yes! / right! / right? / sure! / okay? / okay! / yep yep"),
    *_all("agreement", "yeah yeah yeah / yes yes yes / mm yeah=mː jˈɛə. / mm right=mː ɹˈIt."),
    *_all(
        "agreement", "oh right / oh sure / ah yes / ah right / yeah okay / yeah sure / yeah exactly"
    ),
    *_all(
        "agreement", "yes exactly / yes of course / I know, right / indeed / correct / certainly"
    ),
    *_all("agreement", "I think so / I guess / I suppose so / I believe so / same here / me too"),
    *_all("agreement", "that makes sense / that's fine / that's good / that's okay / quite right"),
    *_all("agreement", "very true / good point / no doubt / precisely / naturally / obviously"),
    *_all(
        "acknowledgement",
        "okay / okay.=əkˈA. / okay=ˈOkˌA. / 'kay / alright / alrighty / alright then",
    ),
    *_all(
        "acknowledgement",
        "okay great / okay cool / okay sure / okay right / okay, got it / oh okay",
    ),
    *_all(
        "acknowledgement",
        "ah okay / right okay / mm okay=mː OkˈA. / yeah got it / yes, I see / I see, I see",
    ),
    *_all(
        "acknowledgement",
        "I understand / I hear you / I got you / noted / will do / you bet / uh okay",
    ),
    *_all(
        "acknowledgement",
        "good, good / great, thanks / thank you / thanks / cheers / lovely / excellent",
    ),
    *_all(
        "acknowledgement",
        "sounds great / that works / works for me / no worries / not a problem / go on",
    ),
    *_all(
        "acknowledgement", "go ahead / please do / carry on / uh-huh, go on / right, go on / ready"
    ),
    *_all(
        "surprise",
        "wow! / really! / seriously? / is that so? / you're kidding / no kidding / oh my",
    ),
    *_all(
        "surprise", "oh my god / my goodness / gosh / whoa / oh cool / huh, interesting / amazing"
    ),
    *_all(
        "surprise", "is it? / did they? / oh did you? / oh yeah? / wow, okay / incredible / what?"
    ),
    *_all(
        "feeling", "awesome / brilliant / wonderful / fantastic / lovely, yeah / oh great / too bad"
    ),
    *_all(
        "feeling", "I'm sorry / oh well / that's great / that's too bad / good for you / poor thing"
    ),
    *_all("feeling", "oh perfect / that's perfect / that's nice, yeah / how nice / what a shame"),
    *_all(
        "agreement",
        "sí, claro / eso es / exacto / por supuesto / así es / ya / ajá / bueno / sí",
        "es",
    ),
    *_all(
        "acknowledgement",
        "entiendo / okey / perfecto / está bien / ah, vale / vale, vale / mmm",
        "es",
    ),
    *_all("surprise", "¿en serio? / ¿de verdad? / ¡qué bien! / ay, no / anda / ah, sí / oh", "es"),
    *_all(
        "agreement",
        "oui / ouais, ouais / voilà / exactement / bien sûr / tout à fait / c'est ça",
        "fr",
    ),
    *_all(
        "acknowledgement",
        "ok / ok, d'accord / hum / ah oui / ah d'accord / parfait / compris / mh",
        "fr",
    ),
    *_all(
        "surprise", "ah bon? / vraiment? / c'est vrai? / oh là là / super / génial / tiens", "fr"
    ),
    *_all(
        "agreement",
        "sì / sì sì / certo, certo / giusto / appunto / infatti / eh sì / ok / già",
        "it",
    ),
    *_all(
        "acknowledgement",
        "capisco / bene / perfetto / d'accordo / ah, ok / va benissimo / mh",
        "it",
    ),
    *_all("surprise", "davvero? / ma dai / ah sì? / che bello / oddio / accidenti / beh", "it"),
    *_all(
        "agreement", "sim, sim / isso / exato / é / pois é / tá / tá bom / ok / uhum / aham", "pt"
    ),
    *_all("surprise", "sério? / nossa / legal / ótimo / que bom / ah é? / beleza / certo", "pt"),
    *_all("agreement", "हाँ हाँ / हाँ जी / बिल्कुल / जी / समझ गया / हम्म / वाह / ओके / सच में?", "hi"),
    *_all(
        "agreement",
        "ja, ja / ja klar / klar / richtig / okay / mhm / gut / alles klar / natürlich",
        "de",
    ),
    *_all(
        "surprise", "echt? / wirklich? / ach ja? / na so was / super / schön / aha / oh / tja", "de"
    ),
    *_all(
        "agreement",
        "да / угу / ага / ладно / хорошо / понятно / конечно / точно / ясно / да, да",
        "ru",
    ),
    *_all("agreement", "ja / ja, ja / precies / oké / klopt / goed / inderdaad / hm / echt?", "nl"),
    *_all("agreement", "tak / no tak / dobrze / jasne / aha / okej / rozumiem / właśnie", "pl"),
    *_all("agreement", "evet / tamam / hı hı / anladım / doğru / peki / tabii", "tr"),
    *_all("agreement", "ja / precis / okej / just det / jaha / mm / visst", "sv"),
    *_all(
        "agreement",
        "うん、うん=ˈɯɴ, ˈɯɴ. / はいはい=hˈaj hˈaj. / へえ=hˈeː. / そうそう=sˈoː sˈoː.",
        "ja",
    ),
    *_all(
        "agreement",
        "なるほど=naɾɯhˈodo. / そうですか=sˈoː desɯ ka. / あ、そう=ˈa, sˈoː. / ああ=ˈaː.",
        "ja",
    ),
    *_all("agreement", "ほんと=hontˈo? / わかりました=wakaɾimˈaɕta. / ふーん=fˈɯːɴ.", "ja"),
    *_all(
        "agreement", "对对对=twˈej twˈej twˈej. / 嗯嗯=ˈəŋ ˈəŋ. / 好=xˈaw. / 哦=ˈɔ. / 啊=ˈa.", "zh"
    ),
    *_all(
        "agreement",
        "是=ʂˈɨ. / 行=ɕˈiŋ. / 没错=mˈej tswˈɔ. / 明白=mˈiŋ pˈaj. / 真的=ʈʂˈən tə? / 噢=ˈo.",
        "zh",
    ),
)
"""More of what listeners say, in twelve languages."""

MORE_INTERRUPTIONS: tuple[Phrase, ...] = (
    # Short ones are a closed vocabulary, as backchannels are.
    *_all(
        "short",
        "wait! / wait. / wait, wait. / wait a minute. / wait a second. / stop! / stop. / stop it.",
    ),
    *_all(
        "short",
        "no! / no. / no, no, no. / no, wait. / hold on. / hang on. / hang on a second. / hey. / hey, stop.",
    ),
    *_all(
        "short",
        "sorry? / sorry, what? / pardon? / excuse me? / excuse me. / what was that? / say again?",
    ),
    *_all(
        "short",
        "one second. / one moment. / just a moment. / just a second. / hello? / hello, hello? / not that one.",
    ),
    *_all(
        "short",
        "let me speak. / listen. / cancel. / cancel that. / go back. / next one. / skip this. / repeat that.",
    ),
    *_all(
        "short",
        "operator. / agent, please. / help. / I have a question. / a question. / that's wrong. / no thanks.",
    ),
    *_all(
        "short",
        "never mind. / forget it. / enough. / that's enough. / be quiet. / slow down. / not now. / actually, no.",
    ),
    *_all(
        "yeah, but", "yeah, but I don't have that with me. / yeah, but it's too expensive for us."
    ),
    *_all(
        "yeah, but",
        "yeah, but how do I do that? / yes, but when does it start? / yeah, wait a second.",
    ),
    *_all(
        "yeah, but",
        "okay, but what happens if I'm late? / okay, so what do I do now? / okay, wait.",
    ),
    *_all(
        "yeah, but",
        "right, so can you send me a letter? / right, but that isn't my fault. / sure, but not today.",
    ),
    *_all(
        "yeah, but",
        "mm-hmm, wait, which one?=mːhˈmː, wˈAt, wˌɪʧ wˈʌn? / mm, but what about my wife?=mː, bʌt wˌʌt əbˌWt mI wˈIf?",
    ),
    *_all(
        "yeah, but",
        "mm-hmm, and how long will it take?=mːhˈmː, ænd hˌW lˈɔŋ wɪl ɪt tˈAk? / uh-huh, wait, stop.=ˈʌhˌʌ, wˈAt, stˈɑp.",
    ),
    *_all(
        "yeah, but",
        "uh-huh, and who are you again? / oh, I thought it was free. / oh no, I'm in the wrong line.",
    ),
    *_all(
        "yeah, but",
        "yes, and I also need a receipt. / yes, that's the one, book it. / yeah, I want to change that.",
    ),
    *_all(
        "yeah, but",
        "I see, so where do I send it? / good, but I have another question. / great, so I'll take two.",
    ),
    *_all(
        "yeah, but",
        "sure, can we talk about the price? / well, I'm not so sure. / well, that's not what he said.",
    ),
    *_all(
        "yeah, but",
        "um, I think you misunderstood me. / uh, can I ask you something? / so, what's the catch?",
    ),
    *_all(
        "yeah, but",
        "okay, okay, but listen to me. / all right, let me think about it. / ah, but I moved last year.",
    ),
    *_all(
        "yeah, but",
        "oh wait, I found it. / oh sorry, I meant Monday. / hmm, I don't like that one. / hmm, what else?",
    ),
    *_all(
        "correction",
        "no, it's on the left side. / no, my birthday is in March. / I said nine, not five.",
    ),
    *_all(
        "correction",
        "that's not what I meant. / no, I never ordered that. / it's my brother's account, actually.",
    ),
    *_all(
        "correction",
        "not the morning, the evening. / you got my name wrong. / the street is called Maple Drive.",
    ),
    *_all(
        "correction",
        "I meant the other hotel. / no, the flight to Denver. / we are four people, not two.",
    ),
    *_all(
        "question",
        "where is your office? / who am I talking to? / why do you need that? / how long does it take?",
    ),
    *_all(
        "question",
        "do you speak Spanish? / can I pay by card? / is that per month? / which one is better?",
    ),
    *_all(
        "question",
        "could you say that again? / did you get my message? / what's the number? / are you a robot?",
    ),
    *_all(
        "question",
        "is breakfast included? / can you hear me? / when do you open? / what do you mean by that?",
    ),
    *_all(
        "answer",
        "I want to speak to a manager. / put me through to sales. / tell me about the discount.",
    ),
    *_all(
        "answer",
        "I'll take the blue one. / tomorrow at ten would be better. / give me the first option.",
    ),
    *_all(
        "answer",
        "my internet isn't working. / I forgot my password. / I'm calling about an invoice.",
    ),
    *_all(
        "answer",
        "I can't do it on Friday. / we need to stop here. / somebody is calling me on the other line.",
    ),
    *_all(
        "answer",
        "let me explain the problem. / you already told me that. / the package never arrived.",
    ),
    *_all(
        "answer", "just tell me the price. / I'd rather do it online. / call me back in an hour."
    ),
    *_all(
        "answer", "it's for three nights. / seven eight two, four four one. / my name is Johnson."
    ),
    *_all(
        "stop",
        "please stop talking for a second. / hey, listen to me for a moment. / stop, stop, go back.",
    ),
    *_all(
        "stop",
        "wait, I need to write this down. / wait, what did you just say? / hold on, that's too fast.",
    ),
    *_all(
        "stop",
        "no no, that's the wrong one. / excuse me, I have a question. / sorry, can I interrupt you?",
    ),
    *_all(
        "stop",
        "espera, espera, no es eso. / un momento, tengo una pregunta. / perdón, ¿puede repetir?",
        "es",
    ),
    *_all(
        "yeah, but",
        "sí, pero no puedo mañana. / vale, pero ¿a qué hora? / no, no, el otro. / ¡espera! / oiga.",
        "es",
    ),
    *_all(
        "answer",
        "quiero hablar con una persona. / mi número ha cambiado. / necesito cambiar la fecha.",
        "es",
    ),
    *_all(
        "stop",
        "attendez, attendez. / non, non, pas celui-là. / excusez-moi, une question. / stop!",
        "fr",
    ),
    *_all(
        "yeah, but",
        "oui, mais je n'ai pas reçu la facture. / d'accord, mais quand? / oui, alors écoutez-moi.",
        "fr",
    ),
    *_all(
        "answer",
        "je veux annuler ma commande. / mon adresse a changé. / vous pouvez répéter?",
        "fr",
    ),
    *_all(
        "stop",
        "aspetti! / no, no, non quello. / scusi, una domanda. / un momento, per favore.",
        "it",
    ),
    *_all(
        "yeah, but",
        "sì, però non ho capito. / va bene, ma quando arriva? / ok, ma io ho già pagato.",
        "it",
    ),
    *_all(
        "answer",
        "vorrei parlare con un operatore. / il mio indirizzo è cambiato. / mi serve la fattura.",
        "it",
    ),
    *_all(
        "stop", "espera aí. / não, não, o outro. / só um momento. / desculpa, pode repetir?", "pt"
    ),
    *_all(
        "yeah, but",
        "sim, mas eu já paguei. / tá, mas quanto custa? / quero falar com um atendente.",
        "pt",
    ),
    *_all("stop", "रुको, रुको। / एक मिनट। / नहीं, नहीं, वो नहीं। / सुनिए, मेरा एक सवाल है।", "hi"),
    *_all("yeah, but", "हाँ, लेकिन मैंने पैसे दे दिए। / ठीक है, पर कब आएगा? / मुझे किसी से बात करनी है।", "hi"),
    *_all(
        "stop",
        "warten Sie mal. / nein, nein, das andere. / Moment, ich habe eine Frage. / halt, stopp!",
        "de",
    ),
    *_all(
        "yeah, but",
        "ja, aber das habe ich schon bezahlt. / okay, aber wann kommt das? / genau, aber was kostet es?",
        "de",
    ),
    *_all(
        "answer",
        "ich möchte mit jemandem sprechen. / meine Adresse hat sich geändert. / das stimmt nicht.",
        "de",
    ),
    *_all("stop", "подождите, подождите. / нет, не этот. / извините, можно вопрос? / стоп!", "ru"),
    *_all(
        "yeah, but",
        "да, но я уже заплатил. / хорошо, а когда? / я хочу поговорить с оператором.",
        "ru",
    ),
    *_all(
        "stop",
        "wacht even. / nee, die andere. / ja, maar ik heb al betaald. / mag ik iets vragen?",
        "nl",
    ),
    *_all("stop", "chwileczkę. / nie, nie to. / tak, ale ja już zapłaciłem. / mam pytanie.", "pl"),
    *_all(
        "stop", "bir dakika. / hayır, o değil. / evet, ama ben zaten ödedim. / bir sorum var.", "tr"
    ),
    *_all(
        "stop",
        "vänta lite. / nej, inte den. / ja, men jag har redan betalat. / får jag fråga en sak?",
        "sv",
    ),
    *_all(
        "stop",
        "ちょっと待って=ʨˈotto mˈatte. / いや、違います=ija, ʨiɡaimˈasɯ. / すみません、もう一度=sɯmimasˈeɴ, mˈoː iʨido.",
        "ja",
    ),
    *_all(
        "stop",
        "等一下=tˈəŋ iɕˈja. / 不是这个=pˈuʂɨ ʈʂˈəkə. / 我有一个问题=wˈɔ jˈow ikə wˈəntʰi.",
        "zh",
    ),
)
"""More callers who want the turn."""

TAUGHT_BACKCHANNELS = BACKCHANNELS + MORE_BACKCHANNELS
