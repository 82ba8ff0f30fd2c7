"""Makes every pass over the training set another one: the same overlaps, a little disguised.

What a mix can't vary a hundred times (a mix is played through the library once) is varied here, on
the network's inputs, anew in each step: so it can't know thirty persons' recordings by heart.
"""

from __future__ import annotations

import torch

from bargein.backends.mel import BANDS, FRAMES
from bargein.vad.silero import ACTIVATIONS

BLINDED = 0.12
"""Share of overlaps in which the network doesn't get the spectrum, and as many in which it doesn't
get the VAD's activations: neither alone is to be trusted."""

WARP = 0.08
"""The spectrum is stretched along its bands by up to so much: other vocal tracts."""

COLOUR = 0.15
"""Standard deviation of the spectrum's loudness, and of its tilt from the lowest band to the
middle, in its own standard deviations: other telephones."""

ACTIVATION_NOISE = 0.1
"""Standard deviation of what is added to the activations, in theirs."""

BANDS_HIDDEN, BANDS_HIDDEN_SHARE = 8, 0.5
"""At most so many neighbouring bands are hidden, in such a share of overlaps."""

CHUNKS_HIDDEN, CHUNKS_HIDDEN_SHARE = 4, 0.4
"""At most so many chunks in a row are hidden, twice, each in such a share of overlaps."""

_LATEST_HIDDEN = 44
"""Of an overlap's chunks, the first that such a run doesn't begin in: 1.4 s, past which little
counts in the loss."""
_SPECTRUM = FRAMES * BANDS
_HEARD = _SPECTRUM + ACTIVATIONS


def disguised(x: torch.Tensor) -> torch.Tensor:
    """Normalised features (N, T, 420) of N overlaps, each disguised in its own way; hidden is 0."""
    count, length, _ = x.shape
    spectrum = _warped(x[..., :_SPECTRUM].reshape(count, length, FRAMES, BANDS))
    spectrum = (
        spectrum * _mask(count, BANDS, BANDS, BANDS_HIDDEN, BANDS_HIDDEN_SHARE)[:, None, None]
    )
    middle = torch.arange(BANDS) * 2 / BANDS - 1
    for shape in (torch.ones(BANDS), middle):
        spectrum = spectrum + COLOUR * torch.randn(count, 1, 1, 1) * shape
    activations = x[..., _SPECTRUM:_HEARD]
    activations = activations + ACTIVATION_NOISE * torch.randn_like(activations)
    heard = torch.ones(count, length)
    for _ in range(2):
        heard *= _mask(count, length, _LATEST_HIDDEN, CHUNKS_HIDDEN, CHUNKS_HIDDEN_SHARE)
    drawn = torch.rand(count, 1)
    return torch.cat(
        (
            spectrum.reshape(count, length, _SPECTRUM) * (heard * (drawn >= BLINDED))[..., None],
            activations * (heard * (drawn < 1 - BLINDED))[..., None],
            x[..., _HEARD:],
        ),
        dim=-1,
    )


def _warped(spectrum: torch.Tensor) -> torch.Tensor:
    """(N, T, frames, bands), each of N with its own stretch; between bands, a line."""
    stretch = 1 + WARP * (2 * torch.rand(len(spectrum), 1, 1) - 1)
    bands = torch.arange(BANDS)
    places = (bands * stretch).clamp(0, BANDS - 1)
    shares = (1 - (places - bands[:, None]).abs()).clamp(min=0)
    return (spectrum.flatten(1, 2) @ shares).reshape(spectrum.shape)


def _mask(count: int, length: int, last: int, longest: int, share: float) -> torch.Tensor:
    """(N, length) of ones, but for a run of zeros that begins before ``last`` in some of them."""
    lengths = torch.randint(1, longest + 1, (count, 1)) * (torch.rand(count, 1) < share)
    begins = torch.randint(0, last, (count, 1))
    places = torch.arange(length)
    return ((places < begins) | (places >= begins + lengths)).float()
