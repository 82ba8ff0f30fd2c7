"""Trains the judge's networks on overlaps that ``train_set.py`` mixed; torch on a CPU, minutes.

    python -m training.train SET INTO --seed 1

SET holds ``train-*.npz`` and ``validate-*.npz``; INTO gets ``seed-1.npz``: weights and the scores
of the validation overlaps. Averages, thresholds and the shipped file are ``export.py``'s.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bargein.backends.gru import BEFORE, FEATURES, NOTICED, JudgeState, features_of
from bargein.vad.track import Speech
from training.train_set import ROWS

EPOCHS = 8
BATCH = 128
SHIPPED = (
    *("front", "front_bias", "inputs", "inputs_bias", "hidden", "hidden_bias", "out", "out_bias"),
)
"""The arrays of a network in a file of weights."""
RATE = 2e-3
WIDTH = 128
AVERAGED = 0.99
"""Of the weights so far that each step keeps in their running average, which is what is shipped."""

SHARES = {
    ("interruption", "real"): 0.22,
    ("interruption", "synthetic"): 0.22,
    ("short", "synthetic"): 0.08,
    ("short", "real"): 0.02,
    ("backchannel", "synthetic"): 0.18,
    ("backchannel", "real"): 0.10,
    ("false start", "real"): 0.02,
    ("backchannel", "computed"): 0.03,
    ("noise", "real"): 0.09,
    ("noise", "computed"): 0.04,
    ("interruption", "own"): 0.25,
    ("backchannel", "own"): 0.2,
    ("noise", "own"): 0.1,
}
"""What each group weighs in the loss, however many overlaps it has."""

AGES = ((0.0, 0.4), (0.12, 0.7), (0.2, 1.3), (0.8, 1.3), (1.0, 0.7), (1.4, 0.4))
"""(Seconds since the notice, weight in the loss): decisions fall in the middle."""

HELD = 0.4
"""Seconds after an overlap's last speech in which its label still counts."""

JITTER = (-2, 6)
"""Chunks by which the start is moved in training: users' VADs find other onsets than ours."""

DROPOUT = 0.15

DOUBT = 0.01
"""What a label leaves to its contrary."""

CROPPED = BEFORE + 36
"""Chunks (1.15 s from the onset) that half of the batches hear."""


@attrs.frozen(eq=False)
class Overlaps:
    """N overlaps: features (N, T, 420), float16 to spare memory; what counts; what they are."""

    features: npt.NDArray[np.float16]
    counts: npt.NDArray[np.bool_]
    """(N, T): noticed, and not long after the last speech."""
    noticed: npt.NDArray[np.int64]
    """The first chunk that is speech; T where none is."""
    lengths: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    """(N, T): the probability that is asked for after each chunk."""
    about: list[dict[str, Any]]


def read(folder: Path, part: str, *, features_too: bool = True) -> Overlaps:
    """All files of one part; without features (which take the time), where they aren't needed."""
    features, counts, noticed, lengths = [], [], [], []
    about: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"{part}-*.npz")):
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        about_of = [json.loads(each) for each in arrays["about"]]
        about += about_of
        lengths.append(arrays["lengths"])
        width = FEATURES if features_too else 0
        made = np.zeros((*arrays["probabilities"].shape, width), np.float16)
        counted = np.zeros(made.shape[:2], bool)
        for i, n in enumerate(arrays["lengths"]):
            speech = Speech(0, arrays["probabilities"][i, :n], arrays["activations"][i, :n])
            if features_too:
                state = JudgeState(np.zeros(0, np.float32))
                made[i, :n] = features_of(state, speech, arrays["samples"][i, :n])
            counted[i, :n] = _counted(speech.probabilities)
            if about_of[i]["kind"] == "false start":
                # Up to its end it sounds as the sentence does that it was cut from.
                counted[i, : BEFORE + round(about_of[i]["lasts"] / 0.032)] = False
        features.append(made)
        counts.append(counted)
        voiced = arrays["probabilities"] >= NOTICED
        noticed.append(np.where(voiced.any(1), voiced.argmax(1), voiced.shape[1]))
    groups = [_group(each) for each in about]
    sizes = {group: groups.count(group) for group in set(groups)}
    shares = [SHARES.get(group, 0.01) / sizes[group] for group in groups]
    weights = np.array(shares, np.float32)
    labels = np.array([a["label"] == "interruption" for a in about], np.float32)
    asked = np.concatenate(features)
    return Overlaps(
        asked,
        np.concatenate(counts),
        np.concatenate(noticed),
        np.concatenate(lengths),
        labels,
        weights / weights.mean(),
        np.repeat((labels * (1 - 2 * DOUBT) + DOUBT)[:, None], asked.shape[1], axis=1),
        about,
    )


def _group(about: dict[str, Any]) -> tuple[str, str]:
    kind = about["label"]
    if about["kind"] == "own":
        return kind, "own"
    if about["kind"] == "false start":
        kind = "false start"
    elif kind == "interruption" and "short" in about["kind"]:
        kind = "short"
    return kind, about["origin"]


def _counted(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    voiced = np.flatnonzero(probabilities >= NOTICED)
    counted = np.zeros(len(probabilities), bool)
    if len(voiced):
        counted[voiced[0] : voiced[-1] + 1 + round(HELD / 0.032)] = True
    return counted


class Net(nn.Module):
    """What :class:`bargein.backends.gru.Network` computes for one seed."""

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.front = nn.Linear(FEATURES, WIDTH)
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.out = nn.Linear(WIDTH, 1)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.mean) * self.scale
        x = self.drop(torch.relu(self.front(self.drop(x))))
        x, _ = self.gru(x)
        return torch.as_tensor(self.out(self.drop(x)).squeeze(-1))

    def take(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Go on from the weights that :meth:`arrays` gave."""
        given = {
            "mean": np.zeros(FEATURES),
            "scale": np.ones(FEATURES),
            "front.weight": arrays["front"].T,
            "front.bias": arrays["front_bias"],
            "gru.weight_ih_l0": arrays["inputs"].T,
            "gru.bias_ih_l0": arrays["inputs_bias"],
            "gru.weight_hh_l0": arrays["hidden"].T,
            "gru.bias_hh_l0": arrays["hidden_bias"],
            "out.weight": arrays["out"][None],
            "out.bias": arrays["out_bias"][None],
        }
        self.load_state_dict(
            {name: torch.tensor(np.asarray(value, np.float32)) for name, value in given.items()}
        )

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Weights as the NumPy network wants them; the normalisation goes into the front."""
        state = {name: value.detach().numpy() for name, value in self.state_dict().items()}
        front = state["front.weight"] * state["scale"]
        return {
            "front": front.T,
            "front_bias": state["front.bias"] - front @ state["mean"],
            "inputs": state["gru.weight_ih_l0"].T,
            "inputs_bias": state["gru.bias_ih_l0"],
            "hidden": state["gru.weight_hh_l0"].T,
            "hidden_bias": state["gru.bias_hh_l0"],
            "out": state["out.weight"][0],
            "out_bias": state["out.bias"][0],
        }


def train(
    given: Overlaps,
    seed: int,
    epochs: int = EPOCHS,
    check: Overlaps | None = None,
    start: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> Net:
    """Fit one network; from ``start``, an earlier one's arrays, at a tenth of the rate."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    some = given.features[::4].astype(np.float32)[given.counts[::4]]
    net = Net(torch.tensor(some.mean(0)), torch.tensor(1 / (some.std(0) + 0.02)))
    rate = RATE
    if start is not None:
        net.take(start)
        rate = RATE / 10
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=0.02)
    size = min(BATCH, len(given.labels))
    steps = epochs * (len(given.labels) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(AVERAGED))
    for epoch in range(epochs):
        net.train()
        began, total = time.time(), 0.0
        order = rng.permutation(len(given.labels))
        for at in range(0, len(order) - size + 1, size):
            x, counts, targets, weights = _batch(given, order[at : at + size], rng)
            scores = net(x)
            losses = nn.functional.binary_cross_entropy_with_logits(
                scores, targets, reduction="none"
            )
            per = (losses * counts).sum(1) / counts.sum(1).clamp(min=1)
            loss = (per * weights).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(net)
            total += loss.item()
        said = f"epoch {epoch + 1}: loss {total / (len(order) // size):.3f}"
        if check is not None and (epoch % 3 == 2 or epoch == epochs - 1):
            said += f", validation {loss_of(net, check):.3f}, averaged "
            said += f"{loss_of(average.module, check):.3f}"
        print(f"{said} ({time.time() - began:.0f} s)", flush=True)
    return average.module.eval()


def _batch(
    given: Overlaps, chosen: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    # Most are decided within a second: every other batch is spared the rest.
    longest = min(int(given.lengths[chosen].max()), ROWS if rng.random() < 0.5 else CROPPED)
    x = given.features[chosen, :longest].astype(np.float32)
    counts = given.counts[chosen, :longest].astype(np.float32)
    targets = given.targets[chosen, :longest].copy()
    for i, move in enumerate(rng.integers(JITTER[0], JITTER[1] + 1, len(chosen))):
        if rng.random() < 0.5 or move == 0:
            continue
        time_feature = x[i, :, -1].copy()
        x[i], counts[i] = np.roll(x[i], -move, axis=0), np.roll(counts[i], -move)
        targets[i] = np.roll(targets[i], -move)
        x[i, :, -1] = time_feature
        if move > 0:
            x[i, -move:], counts[i, -move:] = 0, 0
        else:
            x[i, :-move], counts[i, :-move] = x[i, -move], 0
    counts = counts * np.interp(np.cumsum(counts, axis=1) * 0.032, *np.array(AGES).T)
    return (
        torch.from_numpy(x),
        torch.from_numpy(counts.astype(np.float32)),
        torch.from_numpy(targets),
        torch.from_numpy(given.weights[chosen]),
    )


def scores_of(net: Net, given: Overlaps) -> npt.NDArray[np.float32]:
    """(N, T): the network's score after every chunk."""
    with torch.no_grad():
        parts = [
            net(torch.from_numpy(given.features[i : i + 256].astype(np.float32))).numpy()
            for i in range(0, len(given.labels), 256)
        ]
    return np.concatenate(parts)


def loss_of(net: Net, given: Overlaps) -> float:
    """The weighted loss without jitter or dropout."""
    net.eval()
    scores = torch.from_numpy(scores_of(net, given))
    labels = torch.from_numpy(given.labels)[:, None].expand_as(scores)
    losses = nn.functional.binary_cross_entropy_with_logits(scores, labels, reduction="none")
    counts = torch.from_numpy(given.counts.astype(np.float32))
    per = (losses * counts).sum(1) / counts.sum(1).clamp(min=1)
    return float((per * torch.from_numpy(given.weights)).mean())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="the folder that training.train_set filled")
    parser.add_argument("into", type=Path)
    parser.add_argument("--seed", type=int, action="append", required=True)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--start", type=Path, help="a shipped file of weights to go on from")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    given, check = read(arguments.set, "train"), read(arguments.set, "validate")
    print(f"{len(given.labels)} overlaps to train on, {len(check.labels)} to validate", flush=True)
    start = None
    if arguments.start is not None:
        with np.load(arguments.start) as file:
            start = {name: file[name][0].astype(np.float32) for name in SHIPPED}
    for seed in arguments.seed:
        net = train(given, seed, arguments.epochs, check, start)
        np.savez(
            arguments.into / f"seed-{seed}.npz",
            **net.arrays(),
            validation=scores_of(net, check),
        )


if __name__ == "__main__":
    main()
