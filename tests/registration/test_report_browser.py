# SPDX-License-Identifier: Apache-2.0
"""The viewer of a report, used in a browser as a person does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnmetric.registration.result import RegistrationResult
from cnnmetric.report import page as pages
from draw_report import PATIENCE
from draw_report import browser_page
from draw_report import chromium
from draw_report import open_report

pytestmark = pytest.mark.slow


class Browser:
    """A report that is open in a browser, and what was complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, file: Path) -> None:
        open_report(self.page, file)

    def click(self, selector: str) -> None:
        self.page.click(selector, timeout=PATIENCE)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.page.get_attribute("#viewer", "data-state"))
        return found

    def pixels(self) -> NDArray[np.uint8]:
        """Return the canvas as it is drawn; of what WebGL drew, in the same turn of its loop."""
        text = self.page.evaluate(
            """() => {
                const { nv } = window.cnnmetricReport;
                nv.drawScene();
                const gl = nv.gl;
                const [w, h] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
                const bytes = new Uint8Array(4 * w * h);
                gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
                return [w, h, Array.from(bytes.filter((_, i) => i % 4 === 0))];
            }"""
        )
        width, height, values = text
        return np.array(values, dtype=np.uint8).reshape(height, width)[::-1]

    def changed(self, before: NDArray[np.uint8]) -> float:
        """Return the share of pixels that differ clearly."""
        return float((np.abs(self.pixels().astype(int) - before) > 12).mean())


@pytest.fixture(scope="module")
def browser(
    rigid: RegistrationResult, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("needs a browser, and no Chromium is here (Debian: apt-get install chromium)")
    if not (Path(pages.__file__).parent / "viewer.js").exists():
        pytest.skip(
            "the viewer was not built, which takes npm (python scripts/build_viewer.py); what a "
            "report is without it is tested in tests/registration/test_report.py"
        )
    file = rigid.report(tmp_path_factory.mktemp("report") / "report.html")
    with browser_page(program, height=900) as page:
        found = Browser(page)
        found.open(file)
        yield found


def test_the_viewer_comes_up_without_an_error(browser: Browser) -> None:
    assert browser.page.get_attribute("#viewer", "data-ready") == "true"
    assert browser.page.is_hidden("#still")
    assert browser.errors == []
    assert [
        url for url in browser.requests if not url.startswith(("file:", "blob:", "data:"))
    ] == []
    assert browser.page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert browser.pixels().std() > 10


def test_the_slider_fades_from_the_fixed_to_the_moving_image(browser: Browser) -> None:
    browser.click("[data-when=before]")
    browser.click("[data-mode=overlay]")
    pictures = {}
    for value in (0, 50, 100):
        browser.page.fill("#opacity", str(value))
        pictures[value] = browser.pixels().astype(float)
    assert browser.state()["opacity"] == 100
    assert np.abs(pictures[100] - pictures[0]).mean() > 2
    between = np.abs(pictures[50] - (pictures[0] + pictures[100]) / 2)
    assert np.quantile(between, 0.95) < 8


def test_before_and_after_differ(browser: Browser) -> None:
    browser.click("[data-mode=overlay]")
    browser.page.fill("#opacity", "100")
    browser.click("[data-when=after]")
    after = browser.pixels()
    browser.click("[data-when=before]")
    assert browser.state()["when"] == "before"
    assert browser.changed(after) > 0.02
    browser.click("[data-when=after]")
    assert browser.changed(after) == 0


@pytest.mark.parametrize("mode", ["checkerboard", "edges"])
def test_each_view_shows_something_else(mode: str, browser: Browser) -> None:
    browser.click("[data-when=before]")
    browser.click("[data-mode=overlay]")
    browser.page.fill("#opacity", "0")
    fixed = browser.pixels()
    browser.click(f"[data-mode={mode}]")
    assert browser.changed(fixed) > 0.01


def test_blinking_shows_both_in_turn_and_ends(browser: Browser) -> None:
    browser.click("[data-when=before]")
    browser.click("#blink")
    seen = set()
    for _ in range(40):
        seen.add(browser.state()["shown"])
        if len(seen) == 2:
            break
        browser.page.wait_for_timeout(200)
    assert seen == {True, False}
    browser.click("[data-mode=overlay]")
    assert not browser.state()["blink"]


def test_a_map_is_laid_over_the_images_with_its_legend(browser: Browser) -> None:
    browser.click("[data-map=none]")
    bare = browser.pixels()
    browser.click("[data-map=dissimilarity]")
    assert browser.changed(bare) > 0.01
    assert "less alike" in browser.page.inner_text(".legend")
    browser.click("[data-map=jacobian]")
    assert "folding" in browser.page.inner_text(".legend")
    browser.click("[data-map=none]")
    assert browser.changed(bare) == 0


def test_scrolling_goes_through_the_slices_and_the_planes_are_linked(browser: Browser) -> None:
    before, place = browser.pixels(), browser.page.inner_text(".place")
    box = browser.page.locator("#viewer canvas").bounding_box()
    assert box is not None
    browser.page.mouse.move(box["x"] + box["width"] / 6, box["y"] + box["height"] / 3)
    browser.page.mouse.wheel(0, 240)
    browser.page.wait_for_timeout(500)
    assert browser.page.inner_text(".place") != place
    assert browser.changed(before) > 0.002
    moved, place = browser.pixels(), browser.page.inner_text(".place")
    browser.page.mouse.click(box["x"] + box["width"] / 8, box["y"] + box["height"] / 3)
    browser.page.wait_for_timeout(500)
    assert browser.page.inner_text(".place") != place
    third = moved.shape[1] // 3
    after = browser.pixels()
    for plane in (1, 2):  # the planes beside the one that was clicked in
        part = slice(plane * third + 20, (plane + 1) * third - 20)
        assert (np.abs(after[:, part].astype(int) - moved[:, part]) > 12).any()


def test_keys_do_what_the_buttons_say(browser: Browser) -> None:
    browser.page.click("h1")
    for key, name, value in (("c", "mode", "checkerboard"), ("e", "mode", "edges")):
        browser.page.keyboard.press(key)
        assert browser.state()[name] == value
    was = browser.state()["when"]
    browser.page.keyboard.press("m")
    assert browser.state()["when"] != was
    assert browser.errors == []


def test_without_webgl_the_pictures_stay(
    browser: Browser, rigid: RegistrationResult, tmp_path: Path
) -> None:
    file = rigid.report(tmp_path / "report.html")
    context = browser.page.context.browser.new_context()
    context.add_init_script("HTMLCanvasElement.prototype.getContext = () => null;")
    other = Browser(context.new_page())
    other.open(file)
    assert other.page.get_attribute("#viewer", "data-ready") == "failed"
    assert other.page.is_visible("#still img")
    assert "It needs WebGL2" in other.page.inner_text("#viewer")
    context.close()
