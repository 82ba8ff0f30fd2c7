"""What the report draws."""

from __future__ import annotations

import re

import numpy as np

from bargein.evaluation.charts import Timeline, timeline_svg


def test_a_second_whose_words_would_be_cut_off_has_none() -> None:
    drawn = timeline_svg(
        Timeline(
            start=0.99,
            end=4.01,
            caller=np.zeros(100, np.int16),
            agent=np.zeros(0, np.int16),
            label="noise",
            labelled=(2.0, 3.0),
            estimates=((2.2, 0.1),),
            threshold=0.5,
            verdict=None,
        )
    )

    assert re.findall(r">(\d s)<", drawn) == ["2 s", "3 s"]
