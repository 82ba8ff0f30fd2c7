"""Trains the judge's networks on overlaps that ``train_set.py`` mixed; torch on a CPU, minutes.

    python -m training.train SET INTO --seed 1

SET holds ``train-*.npz`` and ``validate-*.npz``; INTO gets ``seed-1.npz``: weights and the scores
of the validation overlaps. Averages, thresholds and the shipped file are ``export.py``'s.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bargein.backends.gru import FEATURES, NOTICED, JudgeState, features_of
from bargein.vad.track import Speech

EPOCHS = 12
BATCH = 128
RATE = 2e-3
WIDTH = 64

SHARES = {
    ("interruption", "real"): 0.22,
    ("interruption", "synthetic"): 0.30,
    ("backchannel", "synthetic"): 0.20,
    ("backchannel", "real"): 0.08,
    ("false start", "real"): 0.03,
    ("backchannel", "computed"): 0.03,
    ("noise", "real"): 0.10,
    ("noise", "computed"): 0.05,
}
"""What each group weighs in the loss, however many overlaps it has."""

HELD = 0.4
"""Seconds after an overlap's last speech in which its label still counts."""

JITTER = (-2, 6)
"""Chunks by which the start is moved in training: users' VADs find other onsets than ours."""

DROPOUT = 0.15


@attrs.frozen(eq=False)
class Overlaps:
    """N overlaps: features (N, T, 420), float16 to spare memory; what counts; what they are."""

    features: npt.NDArray[np.float16]
    counts: npt.NDArray[np.bool_]
    """(N, T): noticed, and not long after the last speech."""
    lengths: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    about: list[dict[str, Any]]


def read(folder: Path, part: str) -> Overlaps:
    """All files of one part."""
    features, counts, lengths = [], [], []
    about: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"{part}-*.npz")):
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        about += [json.loads(each) for each in arrays["about"]]
        lengths.append(arrays["lengths"])
        made = np.zeros((*arrays["probabilities"].shape, FEATURES), np.float16)
        counted = np.zeros(made.shape[:2], bool)
        for i, n in enumerate(arrays["lengths"]):
            speech = Speech(0, arrays["probabilities"][i, :n], arrays["activations"][i, :n])
            state = JudgeState(np.zeros(0, np.float32))
            made[i, :n] = features_of(state, speech, arrays["samples"][i, :n])
            counted[i, :n] = _counted(speech.probabilities)
        features.append(made)
        counts.append(counted)
    groups = [_group(each) for each in about]
    sizes = {group: groups.count(group) for group in set(groups)}
    shares = [SHARES.get(group, 0.01) / sizes[group] for group in groups]
    weights = np.array(shares, np.float32)
    return Overlaps(
        np.concatenate(features),
        np.concatenate(counts),
        np.concatenate(lengths),
        np.array([a["label"] == "interruption" for a in about], np.float32),
        weights / weights.mean(),
        about,
    )


def _group(about: dict[str, Any]) -> tuple[str, str]:
    kind = "false start" if about["kind"] == "false start" else about["label"]
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


def train(given: Overlaps, seed: int, epochs: int = EPOCHS, check: Overlaps | None = None) -> Net:
    """Fit one network."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    some = given.features[::4].astype(np.float32)[given.counts[::4]]
    net = Net(torch.tensor(some.mean(0)), torch.tensor(1 / (some.std(0) + 0.02)))
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
    steps = epochs * (len(given.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps + 1)
    for epoch in range(epochs):
        net.train()
        began, total = time.time(), 0.0
        order = rng.permutation(len(given.labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            x, counts, labels, weights = _batch(given, order[start : start + BATCH], rng)
            scores = net(x)
            losses = nn.functional.binary_cross_entropy_with_logits(
                scores, labels[:, None].expand_as(scores) * 0.98 + 0.01, reduction="none"
            )
            per = (losses * counts).sum(1) / counts.sum(1).clamp(min=1)
            loss = (per * weights).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        said = f"epoch {epoch + 1}: loss {total / (len(order) // BATCH):.3f}"
        if check is not None and (epoch % 3 == 2 or epoch == epochs - 1):
            said += f", validation {loss_of(net, check):.3f}"
        print(f"{said} ({time.time() - began:.0f} s)", flush=True)
    return net.eval()


def _batch(
    given: Overlaps, chosen: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    longest = int(given.lengths[chosen].max())
    x = given.features[chosen, :longest].astype(np.float32)
    counts = given.counts[chosen, :longest].astype(np.float32)
    for i, move in enumerate(rng.integers(JITTER[0], JITTER[1] + 1, len(chosen))):
        if rng.random() < 0.5 or move == 0:
            continue
        time_feature = x[i, :, -1].copy()
        x[i], counts[i] = np.roll(x[i], -move, axis=0), np.roll(counts[i], -move)
        x[i, :, -1] = time_feature
        if move > 0:
            x[i, -move:], counts[i, -move:] = 0, 0
        else:
            x[i, :-move], counts[i, :-move] = x[i, -move], 0
    # The middle of an overlap is where decisions fall.
    age = np.cumsum(counts, axis=1) * 0.032
    counts = counts * np.where(age < 0.1, 0.5, np.where(age > 1.2, 0.5, 1.0))
    return (
        torch.from_numpy(x),
        torch.from_numpy(counts.astype(np.float32)),
        torch.from_numpy(given.labels[chosen]),
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
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    given, check = read(arguments.set, "train"), read(arguments.set, "validate")
    print(f"{len(given.labels)} overlaps to train on, {len(check.labels)} to validate", flush=True)
    for seed in arguments.seed:
        net = train(given, seed, arguments.epochs, check)
        np.savez(
            arguments.into / f"seed-{seed}.npz",
            **net.arrays(),
            validation=scores_of(net, check),
        )


if __name__ == "__main__":
    main()
