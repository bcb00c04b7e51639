# SPDX-License-Identifier: Apache-2.0
"""Fetch single Debian packages by version and checksum, without touching this machine's apt.

The archive's address is taken from the machine's own apt configuration, only the suite is another
one; or the variable CNNMETRIC_DEBIAN_ARCHIVE names it. apt runs with its own source list, package
lists and cache in a temporary folder; the user's proxy and credentials stay in force.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "CNNMETRIC_DEBIAN_ARCHIVE"
ALIASES = ("oldstable", "stable", "testing", "unstable")


class ArchiveError(RuntimeError):
    """A package cannot be had; the message says what was found and what is needed."""


@dataclass(frozen=True)
class Package:
    """One package: the versions that will do, and the checksum of the file of each."""

    name: str
    sha256: Mapping[str, str]
    from_source: bool = False  # fetch a source package's original tar file, not a binary package

    @property
    def index(self) -> str:
        """How `apt-cache madison` calls the list that the package is in."""
        return "Sources" if self.from_source else "Packages"


def fetch(
    packages: Sequence[Package], suites: Sequence[str], destination: Path
) -> dict[str, tuple[Path, str]]:
    """Download each package from the first suite that has it in a wanted version.

    Parameters
    ----------
    packages
        What to download.
    suites
        Debian suites by codename, in the order in which they are tried.
    destination
        Existing folder for the files; also that of apt's temporary state.

    Returns
    -------
    dict
        By package name: the file, its checksum verified, and that checksum.

    Raises
    ------
    ArchiveError
        Without apt, without a Debian archive in its configuration, if a download fails, if the
        archive only has other versions, or if a checksum differs.
    """
    archives = debian_archives()
    files: dict[str, tuple[Path, str]] = {}
    seen: dict[str, list[str]] = {package.name: [] for package in packages}
    failures: list[str] = []
    for suite, archive in ((suite, archive) for suite in suites for archive in archives):
        wanted = [package for package in packages if package.name not in files]
        if not wanted:
            break
        with _private_apt(archive, suite, wanted, destination) as apt:
            try:
                apt.run("apt-get", "update")
            except ArchiveError as error:
                failures.append(f"{suite}: {error}")
                continue
            for package, versions in apt.versions(wanted):
                seen[package.name] += [f"{version} ({suite})" for version in versions]
                version = next((v for v in versions if v in package.sha256), None)
                if version:
                    file = apt.download(package, version)
                    _verify(file, package.sha256[version])
                    kept = file.rename(destination / file.name)
                    files[package.name] = (kept, package.sha256[version])
    if left := [package for package in packages if package.name not in files]:
        raise ArchiveError(_explain(left, seen, failures))
    return files


def _explain(
    left: Sequence[Package], seen: Mapping[str, Sequence[str]], failures: Sequence[str]
) -> str:
    if failures and not any(seen.values()):
        return f"The Debian archive could not be read. {' '.join(failures)}"
    lines = [
        f"  {package.name}: needed {' or '.join(package.sha256)}, "
        f"found {', '.join(seen[package.name]) or 'none'}"
        for package in left
    ]
    advice = (
        f"Set {VARIABLE} to the address of Debian's snapshot archive of a day when it had them."
    )
    first = "The Debian archive has moved on to other versions:"
    return "\n".join([first, *lines, *failures, advice])


def _verify(file: Path, sha256: str) -> None:
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != sha256:
        msg = (
            f"{file.name} is not the file it should be and was not used: "
            f"SHA-256 {found}, expected {sha256}."
        )
        raise ArchiveError(msg)


def debian_archives() -> list[str]:
    """Return the addresses of the Debian archives that this machine's apt is set up to use.

    Another one can be named in the environment: a mirror, on a system that is not Debian, or the
    archive as it was on a day when it had the wanted versions, which Debian keeps.
    """
    if not all(shutil.which(tool) for tool in ("apt-get", "apt-cache", "dpkg-deb")):
        msg = "apt-get is needed to fetch packages from Debian and is not installed here."
        raise ArchiveError(msg)
    if named := os.environ.get(VARIABLE):
        return [named.rstrip("/")]
    fields = "$(ORIGIN)|$(LABEL)|$(CODENAME)|$(RELEASE)|$(SITE)"
    command = ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"]
    # The second form is for a machine that was never updated, a fresh container for one: then apt
    # only knows what the source list says.
    listing = _output(command) or _output([*command, "--no-release-info"])
    system = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    archives: list[str] = []
    origins: list[str] = []
    for line in listing.splitlines():
        origin, label, codename, release, site = line.split("|")
        if origin.startswith("$("):
            origin = label = system.get("ID", "").capitalize()
            codename = system.get("VERSION_CODENAME", "")
        origins.append(origin)
        # Updates and security are named `<codename>-...`, and the latter is another archive.
        if origin == label == "Debian" and release in (codename, *ALIASES):
            archives.append(site)
    if not archives:
        found = ", ".join(sorted({name for name in origins if name})) or "none"
        msg = (
            f"No Debian archive is configured on this {system.get('NAME', 'Linux')} machine "
            f"(apt sources found: {found}). Set {VARIABLE} to the address of one."
        )
        raise ArchiveError(msg)
    return list(dict.fromkeys(archives))


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@dataclass(frozen=True)
class _PrivateApt:
    folder: Path

    def run(self, *command: str) -> str:
        """Run an apt command with the private configuration; return what it prints."""
        result = subprocess.run(
            [command[0], "-c", str(self.folder / "apt.conf"), *command[1:]],
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            errors = (line for line in result.stderr.splitlines() if line.startswith("E:"))
            raise ArchiveError(next(errors, result.stderr.strip()))
        return result.stdout

    def versions(self, packages: Sequence[Package]) -> list[tuple[Package, list[str]]]:
        """Return the versions that the suite has of each package."""
        # All in one call, since apt reads the whole index every time.
        listing = self.run("apt-cache", "madison", *(package.name for package in packages))
        rows = [[cell.strip() for cell in line.split("|")] for line in listing.splitlines()]
        return [
            (
                package,
                [
                    version
                    for name, version, index in rows
                    if name == package.name and index.endswith(package.index)
                ],
            )
            for package in packages
        ]

    def download(self, package: Package, version: str) -> Path:
        """Download one version of a package; return the file."""
        name = f"{package.name}={version}"
        print(f"cnnmetric: downloading {name}", file=sys.stderr)
        before = set(self.folder.iterdir())
        try:
            if package.from_source:
                self.run("apt-get", "source", "--download-only", "--tar-only", name)
            else:
                self.run("apt-get", "download", name)
        except ArchiveError as error:
            msg = f"Could not download {name}: {error}"
            raise ArchiveError(msg) from error
        (file,) = (path for path in self.folder.iterdir() if path not in before)
        return file


@contextmanager
def _private_apt(
    archive: str, suite: str, wanted: Sequence[Package], parent: Path
) -> Iterator[_PrivateApt]:
    """Set up apt to see one suite of one archive, and nothing of this machine's state."""
    with tempfile.TemporaryDirectory(dir=parent, prefix="apt-") as name:
        folder = Path(name)
        for subfolder in ("lists/partial", "cache/archives/partial"):
            (folder / subfolder).mkdir(parents=True)
        (folder / "status").touch()
        # `trusted`: an older Debian's keyring cannot verify a newer suite. What is fetched is
        # verified all the same, against checksums that the caller knows.
        lines = {
            False: f"deb [trusted=yes lang=none arch=amd64 target=Packages] {archive} {suite} main",
            True: f"deb-src [trusted=yes lang=none target=Sources] {archive} {suite} main",
        }
        sources = [lines[from_source] for from_source in {p.from_source for p in wanted}]
        (folder / "sources.list").write_text("\n".join(sources) + "\n", encoding="utf-8")
        # As root, apt would give up its rights, and then could not write to this folder.
        sandbox = 'APT::Sandbox::User "root";\n' if os.geteuid() == 0 else ""
        configuration = _APT_CONF.format(folder=folder) + sandbox
        (folder / "apt.conf").write_text(configuration, encoding="utf-8")
        yield _PrivateApt(folder)


# What is cleared are the user's hooks, which may act on the system's files, and a default release,
# which the private source list does not have.
_APT_CONF = """\
#clear APT::Update;
#clear APT::Default-Release;
APT::Update::Error-Mode "any";
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
"""
