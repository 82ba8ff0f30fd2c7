"""Who may speak in which half of the labelled set.

Kokoro's 54 voices fall into three parts: ``RESERVED`` ones are never used here (an independent
check hears them), the others speak either in the half to calibrate on or in the half to report
on. Voices that look like one speaker in several languages (the santas, the alphas) share a half;
``ef_dora`` and ``pm_alex`` share a name with a reserved voice and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Split = Literal["calibrate", "report"]

SPLITS: tuple[Split, Split] = ("calibrate", "report")

RESERVED = frozenset(
    {
        *("af_bella", "af_heart", "af_jessica", "af_nova", "am_fenrir", "am_liam", "am_michael"),
        *("am_puck", "bf_emma", "bm_george", "em_alex", "hm_omega", "if_sara", "pf_dora"),
    }
)

LEFT_OUT = frozenset({"ef_dora", "pm_alex"})

VOICES: Mapping[Split, tuple[str, ...]] = {
    "calibrate": (
        *("af_alloy", "af_aoede", "af_nicole", "af_sky", "am_adam", "am_onyx", "am_santa"),
        *("bf_alice", "bm_daniel", "em_santa", "ff_siwis", "hf_alpha", "hm_psi", "jf_alpha"),
        *("jf_gongitsune", "pm_santa", "zf_xiaobei", "zf_xiaoxiao", "zm_yunjian", "zm_yunxia"),
    ),
    "report": (
        *("af_kore", "af_river", "af_sarah", "am_echo", "am_eric", "bf_isabella", "bf_lily"),
        *("bm_fable", "bm_lewis", "hf_beta", "im_nicola", "jf_nezumi", "jf_tebukuro", "jm_kumo"),
        *("zf_xiaoni", "zf_xiaoyi", "zm_yunxi", "zm_yunyang"),
    ),
}
"""Half -> Kokoro voices. Any voice can speak any language of the lexicon, with its accent."""

REAL_CALLERS: Mapping[Split, tuple[str, ...]] = {
    "calibrate": ("allison-es", "carlo-it", "librivox-en"),
    "report": ("june-fr", "ivrvoice-ru", "menardi-it"),
}
"""Half -> recorded speakers (see ``recordings.py``) whose phrases are interruptions."""

REAL_AGENTS: Mapping[Split, tuple[str, ...]] = {
    "calibrate": ("allison-en", "carlo-it"),
    "report": ("menardi-it", "ivrvoice-ru"),
}
"""Half -> recorded speakers who read the agent's part, never against themselves."""


def person(speaker: str) -> str:
    """Who speaks: ``allison`` for ``allison-en`` and ``allison-es``."""
    return speaker.split("-")[0]
