"""Trains the judge's networks on overlaps that ``train_set.py`` mixed; torch on a CPU, minutes.

    python -m training.train SET INTO --seed 1

SET holds ``train-*.npz`` and ``validate-*.npz``; INTO gets ``seed-1.npz``: weights and the scores
of the validation overlaps. With ``--teachers FOLDER`` a network learns from the mean of the
networks in there as much as from the labels: several in the time of one. Averages, thresholds and
the shipped file are ``export.py``'s.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bargein.backends.gru import BEFORE, FEATURES
from training.disguise import disguised
from training.overlaps import SPELT_PER_CHUNK, UNKNOWN, Overlaps, read
from training.phonemes import ALPHABET
from training.train_set import ROWS

EPOCHS = 12
BATCH = 128
SHIPPED = (
    *("front", "front_bias", "inputs", "inputs_bias", "hidden", "hidden_bias", "out", "out_bias"),
)
"""The arrays of a network in a file of weights."""
RATE = 2e-3
WIDTH = 128
AVERAGED = 0.99
"""Of the weights so far that each step keeps in their running average, which is what is shipped."""

AGES = ((0.0, 0.4), (0.12, 0.7), (0.2, 1.3), (0.8, 1.3), (1.0, 0.7), (1.4, 0.4))
"""(Seconds since the notice, weight in the loss): decisions fall in the middle."""

JITTER = (-2, 6)
"""Chunks by which the start is moved in training: users' VADs find other onsets than ours."""

DROPOUT = 0.15

SPELLING = 0.5
"""Weight of the loss on what is said, sound by sound, beside that on what it means. The head that
spells is dropped when training is over; what it leaves is a network that hears words."""

TAUGHT = 0.6
"""Of what is asked for, so much is what the teachers think, where there are any."""

CROPPED = BEFORE + 36
"""Chunks (1.15 s from the onset) that half of the batches hear."""


class Net(nn.Module):
    """What :class:`bargein.backends.gru.Network` computes for one seed."""

    def __init__(
        self, mean: torch.Tensor, scale: torch.Tensor, width: int = WIDTH, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.front = nn.Linear(FEATURES, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, 1)
        self.spell = nn.Linear(width, SPELT_PER_CHUNK * (len(ALPHABET) + 1))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.both(x)[0]

    def both(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (N, T), and what is heard: log-probabilities of signs, (N, 2 T, signs)."""
        x = (x - self.mean) * self.scale
        if self.training:
            x = disguised(x)
        x = self.drop(torch.relu(self.front(self.drop(x))))
        x, _ = self.gru(x)
        x = self.drop(x)
        signs = self.spell(x).reshape(len(x), -1, len(ALPHABET) + 1).log_softmax(-1)
        return torch.as_tensor(self.out(x).squeeze(-1)), signs

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
            {name: torch.tensor(np.asarray(value, np.float32)) for name, value in given.items()},
            strict=False,
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
    width: int = WIDTH,
    dropout: float = DROPOUT,
) -> Net:
    """Fit one network; from ``start``, an earlier one's arrays, at a tenth of the rate."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    if start is not None:
        width = len(start["out"])
    some = given.features[::4].astype(np.float32)[given.counts[::4]]
    net = Net(torch.tensor(some.mean(0)), torch.tensor(1 / (some.std(0) + 0.02)), width, dropout)
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
        began, total, spelled = time.time(), 0.0, 0.0
        order = rng.permutation(len(given.labels))
        for at in range(0, len(order) - size + 1, size):
            chosen = order[at : at + size]
            x, counts, targets, weights, spelt = _batch(given, chosen, rng)
            scores, signs = net.both(x)
            losses = nn.functional.binary_cross_entropy_with_logits(
                scores, targets, reduction="none"
            )
            per = (losses * counts).sum(1) / counts.sum(1).clamp(min=1)
            loss = (per * weights).mean()
            spelling = nn.functional.nll_loss(
                signs.transpose(1, 2), spelt, ignore_index=UNKNOWN, reduction="sum"
            )
            # Of one's own clips nobody knows what is said.
            spelling = spelling / (spelt != UNKNOWN).sum().clamp(min=1)
            spelled += spelling.item()
            loss = loss + SPELLING * spelling
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(net)
            total += loss.item()
        count = len(order) // size
        said = f"epoch {epoch + 1}: loss {total / count:.3f}, spelling {spelled / count:.3f}"
        if check is not None and (epoch % 3 == 2 or epoch == epochs - 1):
            said += f", validation {loss_of(net, check):.3f}, averaged "
            said += f"{loss_of(average.module, check):.3f}"
        print(f"{said} ({time.time() - began:.0f} s)", flush=True)
    return average.module.eval()


def _batch(
    given: Overlaps, chosen: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    # Most are decided within a second: every other batch is spared the rest.
    longest = min(int(given.lengths[chosen].max()), ROWS if rng.random() < 0.5 else CROPPED)
    x = given.features[chosen, :longest].astype(np.float32)
    counts = given.counts[chosen, :longest].astype(np.float32)
    targets = given.targets[chosen, :longest].copy()
    spelt = given.spelt[chosen, : SPELT_PER_CHUNK * longest].copy()
    moved = rng.integers(JITTER[0], JITTER[1] + 1, len(chosen))
    moved[rng.random(len(chosen)) < 0.5] = 0
    for i, move in enumerate(moved):
        if move == 0:
            continue
        time_feature = x[i, :, -1].copy()
        x[i], counts[i] = np.roll(x[i], -move, axis=0), np.roll(counts[i], -move)
        targets[i] = np.roll(targets[i], -move)
        spelt[i] = np.roll(spelt[i], -SPELT_PER_CHUNK * move)
        x[i, :, -1] = time_feature
        if move > 0:
            x[i, -move:], counts[i, -move:] = 0, 0
            spelt[i, -SPELT_PER_CHUNK * move :] = UNKNOWN
        else:
            x[i, :-move], counts[i, :-move] = x[i, -move], 0
            spelt[i, : -SPELT_PER_CHUNK * move] = UNKNOWN
    counts = counts * np.interp(np.cumsum(counts, axis=1) * 0.032, *np.array(AGES).T)
    return (
        torch.from_numpy(x),
        torch.from_numpy(counts.astype(np.float32)),
        torch.from_numpy(targets),
        torch.from_numpy(given.weights[chosen]),
        torch.from_numpy(spelt),
    )


def taught(given: Overlaps, folders: Sequence[Path]) -> Overlaps:
    """The same overlaps, with targets between their labels and what some networks say of them."""
    said = []
    for path in [path for folder in folders for path in sorted(folder.glob("seed-*.npz"))]:
        with np.load(path) as file:
            width = len(file["out"])
            net = Net(torch.zeros(FEATURES), torch.ones(FEATURES), width)
            net.take({name: file[name] for name in SHIPPED})
        said.append(scores_of(net.eval(), given))
    if not said:
        raise SystemExit(f"no seed-*.npz in {folders}; expected networks that training.train wrote")
    thought = 1 / (1 + np.exp(-np.mean(said, axis=0)))
    targets = (1 - TAUGHT) * given.targets + TAUGHT * thought
    return attrs.evolve(given, targets=targets.astype(np.float32))


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
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--dropout", type=float, default=DROPOUT)
    parser.add_argument(
        "--teachers", type=Path, action="append", help="a folder of networks to learn from as well"
    )
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    given, check = read(arguments.set, "train"), read(arguments.set, "validate")
    print(f"{len(given.labels)} overlaps to train on, {len(check.labels)} to validate", flush=True)
    if arguments.teachers is not None:
        given = taught(given, arguments.teachers)
    start = None
    if arguments.start is not None:
        with np.load(arguments.start) as file:
            start = {name: file[name][0].astype(np.float32) for name in SHIPPED}
    for seed in arguments.seed:
        net = train(given, seed, arguments.epochs, check, start, arguments.width, arguments.dropout)
        np.savez(
            arguments.into / f"seed-{seed}.npz",
            **net.arrays(),
            validation=scores_of(net, check),
        )


if __name__ == "__main__":
    main()
