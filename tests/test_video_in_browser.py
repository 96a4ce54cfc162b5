# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A written video plays to its end in Chromium. Needs `chromium`, `chromedriver` and selenium; skips without."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from hulk_hf.video_files import VideoWriter

pytestmark = pytest.mark.browser

PAGE = '<video id="film" src="{name}" muted autoplay></video>'
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WATCH = """
const film = document.getElementById("film"), report = arguments[0];
const seen = () => [film.ended, film.duration, film.videoWidth, film.videoHeight, film.error && film.error.code];
const told = () => report(seen());
if (film.ended || film.error) told(); else { film.onended = told; film.onerror = told; }
"""


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium and chromedriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    session = webdriver.Chrome(options, webdriver.ChromeService(driver))
    session.set_script_timeout(60)
    yield session
    session.quit()


def test_it_plays_to_its_end(browser, tmp_path):
    with VideoWriter(tmp_path / "film.mp4", 12.0) as writer:
        for index in range(24):
            writer.write(np.full((90, 160, 3), index * 10, np.uint8))
    (tmp_path / "page.html").write_text(PAGE.format(name="film.mp4"), encoding="utf-8")
    browser.get((tmp_path / "page.html").as_uri())
    ended, duration, width, height, error = browser.execute_async_script(WATCH)
    assert error is None and ended
    assert (width, height) == (160, 90) and duration == pytest.approx(2.0, abs=0.2)


def test_what_is_no_video_does_not_play(browser, tmp_path):
    """The check can fail."""
    (tmp_path / "film.mp4").write_bytes(b"no video")
    (tmp_path / "page.html").write_text(PAGE.format(name="film.mp4"), encoding="utf-8")
    browser.get((tmp_path / "page.html").as_uri())
    ended, *_, error = browser.execute_async_script(WATCH)
    assert error is not None and not ended
