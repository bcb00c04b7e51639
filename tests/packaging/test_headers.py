# SPDX-License-Identifier: Apache-2.0
"""The headers of the build: real apt against a small Debian archive made here, no network."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import debian_archive
import fetch_headers
from fetch_headers import HeadersError
from fetch_headers import find_headers

ITK, ELASTIX, ONNXRUNTIME = fetch_headers.ALL_HEADERS
ELASTIX_TAR = "elastix_5.3.1.orig.tar.gz"
NEEDS_APT = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("dpkg-deb")),
    reason="downloads through apt; where there is none, users name folders, as the other tests do",
)


def write_headers(root: Path, headers: fetch_headers.Headers, version: str) -> Path:
    """Write what tells the version, where the unpacked package would have it."""
    folder = root / headers.directory
    major, minor, patch = version.split(".") if "." in version else (version, "", "")
    if headers is ITK:
        file, prefix, quote = folder / "itkConfigure.h", "#define ITK_VERSION_", ""
    elif headers is ELASTIX:
        for name in ("Core", "Common", "Components"):
            (folder / name).mkdir(parents=True)
        file, prefix, quote = folder / "CMake/elastixVersion.cmake", "set(ELASTIX_VERSION_", '"'
    else:
        folder.mkdir(parents=True)
        text = f"#define ORT_API_VERSION {version}\n"
        (folder / "onnxruntime_c_api.h").write_text(text, encoding="utf-8")
        return folder
    file.parent.mkdir(parents=True, exist_ok=True)
    end = ")" if headers is ELASTIX else ""
    numbers = {"MAJOR": major, "MINOR": minor, "PATCH": patch}
    lines = [f"{prefix}{name} {quote}{value}{quote}{end}\n" for name, value in numbers.items()]
    file.write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def named(tmp_path: Path) -> dict[str, str]:
    """Name folders of the right versions."""
    versions = [(ITK, "5.4.7"), (ELASTIX, "5.3.1"), (ONNXRUNTIME, "17")]
    return {
        headers.variable: str(write_headers(tmp_path / headers.variable, headers, version))
        for headers, version in versions
    }


def test_folders_of_the_user_are_taken_and_nothing_is_written(
    named: dict[str, str], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert find_headers(named, cache=cache) == {k: Path(v) for k, v in named.items()}
    assert not cache.exists()


@pytest.mark.parametrize(
    ("headers", "version", "wanted"),
    [
        (ITK, "5.4.3", r"ITK 5\.4\.7"),
        (ELASTIX, "5.2.0", r"elastix 5\.3\.1"),
        (ONNXRUNTIME, "16", "ONNX Runtime C API 17 or later"),
    ],
)
def test_a_folder_of_another_version_is_refused(
    named: dict[str, str],
    tmp_path: Path,
    headers: fetch_headers.Headers,
    version: str,
    wanted: str,
) -> None:
    named[headers.variable] = str(write_headers(tmp_path / "old", headers, version))
    message = (
        rf"{headers.variable}=.*of {wanted}, found version {version}\. Correct {headers.variable}"
    )
    with pytest.raises(HeadersError, match=message):
        find_headers(named, cache=tmp_path / "cache")


@pytest.mark.parametrize("headers", fetch_headers.ALL_HEADERS)
def test_a_folder_without_the_headers_is_refused(
    named: dict[str, str], tmp_path: Path, headers: fetch_headers.Headers
) -> None:
    named[headers.variable] = str(tmp_path)
    with pytest.raises(HeadersError, match=f"{headers.variable}={tmp_path}.*found no such folder"):
        find_headers(named, cache=tmp_path / "cache")


def test_another_platform_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(HeadersError, match=r"Linux x86-64, and this is Darwin"):
        find_headers({})


def test_the_script_prints_the_folders(
    named: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        f"--{variable.lower().replace('_', '-')}={folder}" for variable, folder in named.items()
    ]
    assert fetch_headers.main(arguments) == 0
    assert capsys.readouterr().out == "".join(f"{k}={v}\n" for k, v in named.items())


def test_the_folders_are_copied_once_to_be_carried_elsewhere(
    named: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        f"--{variable.lower().replace('_', '-')}={folder}" for variable, folder in named.items()
    ]
    command = [*options, f"--copy-to={tmp_path / 'copy'}"]
    assert fetch_headers.main(command) == 0
    printed = dict(line.split("=") for line in capsys.readouterr().out.splitlines())
    assert printed[ITK.variable] == str(tmp_path / "copy" / "itk")
    assert find_headers(printed) == {k: Path(v) for k, v in printed.items()}
    assert fetch_headers.main(command) == 1
    assert "File exists" in capsys.readouterr().err


def test_the_script_fails_with_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch_headers.main([f"--itk-include-dir={tmp_path}"]) == 1
    assert capsys.readouterr().err.startswith(f"error: ITK_INCLUDE_DIR={tmp_path}")


@dataclasses.dataclass
class Archive:
    """A Debian archive in a folder, with apt configured to use it."""

    folder: Path
    sha256: dict[str, str] = dataclasses.field(default_factory=dict)

    def publish(self, suite: str, *, version: str = "5.4.7-1", origin: str = "Debian") -> None:
        """Put one binary and one source package in a suite."""
        pool = self.folder / "pool"
        pool.mkdir(exist_ok=True)
        deb = self._binary(pool, version)
        tar = self._source(pool)
        self.sha256 = {file.name: digest(file) for file in (deb, tar)}
        release = self.folder / "dists" / suite
        self._write_index(
            release / "main/binary-amd64/Packages",
            f"Package: itk-dev\nVersion: {version}\nArchitecture: amd64\n"
            f"Filename: pool/{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest(deb)}\n",
        )
        self._write_index(
            release / "main/source/Sources",
            "Package: elastix\nFormat: 3.0 (quilt)\nBinary: elastix\nVersion: 5.3.1-1\n"
            f"Directory: pool\nChecksums-Sha256:\n {digest(tar)} {tar.stat().st_size} {tar.name}\n",
        )
        indexes = [file for file in (release / "main").rglob("*") if file.is_file()]
        sums = "".join(
            f" {digest(file)} {file.stat().st_size} {file.relative_to(release)}\n"
            for file in indexes
        )
        (release / "Release").write_text(
            f"Origin: {origin}\nLabel: {origin}\nSuite: testing\nCodename: {suite}\n"
            "Date: Thu, 01 Jan 2026 00:00:00 UTC\nValid-Until: Fri, 02 Jan 2026 00:00:00 UTC\n"
            f"Architectures: amd64\nComponents: main\nSHA256:\n{sums}",
            encoding="utf-8",
        )

    def _binary(self, pool: Path, version: str) -> Path:
        deb = pool / f"itk-dev_{version}_amd64.deb"
        if deb.exists():
            return deb
        root = self.folder / f"package-{version}"
        write_headers(root, ITK, "5.4.7")
        (root / "usr/share/doc").mkdir(parents=True)
        (root / "usr/share/doc/copyright").touch()
        (root / "DEBIAN").mkdir()
        control = f"Package: itk-dev\nVersion: {version}\nArchitecture: amd64\n"
        control += "Maintainer: nobody <nobody@localhost>\nDescription: a test\n"
        (root / "DEBIAN/control").write_text(control, encoding="utf-8")
        subprocess.run(["dpkg-deb", "--build", root, deb], check=True, capture_output=True)
        return deb

    def _source(self, pool: Path) -> Path:
        tar = pool / ELASTIX_TAR
        if not tar.exists():
            root = self.folder / "source"
            write_headers(root, ELASTIX, "5.3.1")
            for name in ("Core/a.h", "Common/b.h", "Components/c.h", "README.md"):
                (root / "elastix-5.3.1" / name).touch()
            with tarfile.open(tar, "w:gz") as file:
                file.add(root / "elastix-5.3.1", "elastix-5.3.1")
        return tar

    @staticmethod
    def _write_index(file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Make an archive, and have apt use it as if the machine were set up so."""
    folder = tmp_path / "archive"
    (tmp_path / "lists/partial").mkdir(parents=True)
    folder.mkdir()
    sources = f"deb [trusted=yes arch=amd64] file:{folder} forky main\n"
    (tmp_path / "sources.list").write_text(sources, encoding="utf-8")
    configuration = tmp_path / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::SourceList "{tmp_path}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
        f'Dir::State::Lists "{tmp_path}/lists";\nAPT::Sandbox::User "";\n'
        f'APT::Default-Release "forky";\nAcquire::Check-Valid-Until "false";\n'
        f'APT::Update::Post-Invoke {{ "touch {tmp_path}/hook-ran"; }};\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("APT_CONFIG", str(configuration))
    made = Archive(folder)
    made.publish("forky")
    expect(monkeypatch, made)
    return made


def expect(monkeypatch: pytest.MonkeyPatch, archive: Archive) -> None:
    """Have the two packages of the archive as it is now be those that are wanted."""
    deb, tar = archive.sha256["itk-dev_5.4.7-1_amd64.deb"], archive.sha256[ELASTIX_TAR]
    itk = debian_archive.Package("itk-dev", {"5.4.7-1": deb})
    elastix = debian_archive.Package("elastix", {"5.3.1-1": tar}, from_source=True)
    wanted = (
        dataclasses.replace(ITK, package=itk),
        dataclasses.replace(ELASTIX, package=elastix),
    )
    monkeypatch.setattr(fetch_headers, "ALL_HEADERS", wanted)
    monkeypatch.setattr(fetch_headers, "SUITES", ("forky", "sid"))


def update_apt() -> None:
    """Read the indexes, as `apt-get update` does on a machine in use."""
    subprocess.run(["apt-get", "update"], check=True, capture_output=True)


@NEEDS_APT
@pytest.mark.parametrize("updated", [True, False])
def test_headers_are_downloaded_once_and_without_traces(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updated: bool
) -> None:
    if updated:
        update_apt()
        (tmp_path / "hook-ran").unlink()
    elif platform.freedesktop_os_release()["ID"] != "debian":
        pytest.skip(
            "without read indexes only Debian's own apt names its suite, and this system is "
            "another; with them the same test runs here"
        )
    else:
        codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
        sources = f"deb [trusted=yes arch=amd64] file:{archive.folder} {codename} main\n"
        (tmp_path / "sources.list").write_text(sources, encoding="utf-8")
    lists = sorted((tmp_path / "lists").rglob("*"))
    cache = tmp_path / "cache"
    folders = find_headers({}, cache=cache)
    assert [headers.version(folders[headers.variable]) for headers in (ITK, ELASTIX)] == [
        "5.4.7",
        "5.3.1",
    ]
    kept = {file.name for file in cache.rglob("*") if file.is_file()}
    assert kept == {"itkConfigure.h", "elastixVersion.cmake", "a.h", "b.h", "c.h"}
    assert len(list(cache.iterdir())) == 2
    assert sorted((tmp_path / "lists").rglob("*")) == lists
    assert not (tmp_path / "hook-ran").exists()

    monkeypatch.setenv("PATH", os.devnull)  # neither apt-get nor anything else
    assert find_headers({}, cache=cache) == folders


@NEEDS_APT
def test_the_next_suite_is_tried(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.publish("sid")
    archive.publish("forky", version="5.4.8-1")
    update_apt()
    assert ITK.variable in find_headers({}, cache=tmp_path / "cache")


@NEEDS_APT
def test_an_archive_that_has_moved_on_is_said_to_have(archive: Archive, tmp_path: Path) -> None:
    archive.publish("forky", version="5.4.8-1")
    update_apt()
    with pytest.raises(HeadersError) as caught:
        find_headers({}, cache=tmp_path / "cache")
    message = str(caught.value)
    assert "has moved on to other versions" in message
    assert "itk-dev: needed 5.4.7-1, found 5.4.8-1 (forky)" in message
    assert "Set CNNMETRIC_DEBIAN_ARCHIVE to the address of Debian's snapshot archive" in message
    assert "ITK_INCLUDE_DIR=<folder with itkConfigure.h, ITK 5.4.7>" in message


@NEEDS_APT
def test_an_archive_that_the_user_names_is_asked_alone(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "snapshot"
    shutil.copytree(archive.folder, kept)
    archive.publish("forky", version="5.4.8-1", origin="Ubuntu")
    update_apt()
    with pytest.raises(HeadersError, match="Set CNNMETRIC_DEBIAN_ARCHIVE to the address"):
        find_headers({}, cache=tmp_path / "cache")
    monkeypatch.setenv("CNNMETRIC_DEBIAN_ARCHIVE", f"file:{kept}/")
    assert ITK.variable in find_headers({}, cache=tmp_path / "cache")


@NEEDS_APT
def test_another_file_under_the_same_version_is_refused(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_apt()
    archive.sha256["itk-dev_5.4.7-1_amd64.deb"] = "0" * 64
    expect(monkeypatch, archive)
    cache = tmp_path / "cache"
    with pytest.raises(HeadersError, match=r"itk-dev.*was not used: SHA-256 .*expected 0{64}"):
        find_headers({}, cache=cache)
    assert not list(cache.iterdir())


@NEEDS_APT
def test_a_failing_download_says_what_apt_says(archive: Archive, tmp_path: Path) -> None:
    update_apt()
    next((archive.folder / "pool").glob("*.deb")).unlink()
    with pytest.raises(HeadersError, match=r"Could not download itk-dev=5\.4\.7-1: E: .*itk-dev"):
        find_headers({}, cache=tmp_path / "cache")


@NEEDS_APT
def test_an_unreadable_archive_is_said_to_be(archive: Archive, tmp_path: Path) -> None:
    update_apt()
    shutil.rmtree(archive.folder / "dists")
    with pytest.raises(
        HeadersError, match=r"archive could not be read\. forky: E: Failed to fetch"
    ):
        find_headers({}, cache=tmp_path / "cache")


@NEEDS_APT
def test_a_machine_of_another_distribution_is_told_so(archive: Archive, tmp_path: Path) -> None:
    archive.publish("forky", origin="Ubuntu")
    update_apt()
    with pytest.raises(HeadersError, match=r"No Debian archive is configured.*found: Ubuntu"):
        find_headers({}, cache=tmp_path / "cache")


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(HeadersError, match=r"apt-get is needed(.|\n)*ELASTIX_SOURCE_DIR="):
        find_headers({}, cache=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HeadersError, match=r"Cannot write to the cache.*Set XDG_CACHE_HOME"):
        find_headers({}, cache=tmp_path / "file" / "cache")


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert fetch_headers.default_cache() == Path("/somewhere/cnnmetric")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, by the XDG specification
    assert fetch_headers.default_cache() == Path.home() / ".cache" / "cnnmetric"
