"""The page as its users see it, in headless Chromium."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cloud_model.display.numbers import uncertain

EXAMPLES = Path(__file__).parents[2] / "examples"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(
            executable_path=executable,
            args=[*QUIET, "--enable-unsafe-swiftshader"],  # WebGL without a GPU
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, address):
    """The page, before any upload; it must report no errors, and talk to this server only."""
    page = browser.new_page()
    page.set_default_timeout(120_000)  # ms, for busy machines
    errors, requests = [], []
    page.on("pageerror", lambda error: errors.append(error))
    page.on("request", lambda request: requests.append(request.url))
    host, port = address
    page.goto(f"http://{host}:{port}/")
    yield page
    page.close()
    assert not errors
    assert all(url.startswith((f"http://{host}:{port}/", "data:", "blob:")) for url in requests)


def test_upload_and_read_the_numbers(page, tiny_model):
    page.set_input_files("#file", EXAMPLES / "TiO2.cif")
    page.wait_for_selector("#summary h2")
    assert page.inner_text("#summary h2") == "TiO₂"
    assert "136, P 4_2/m n m" in page.inner_text("#summary")
    assert "4f O" in page.inner_text("#scope")

    predicted = tiny_model.predict(str(EXAMPLES / "TiO2.cif")).iloc[0]
    for name in ("bulk_modulus", "band_gap", "heat_capacity_per_atom"):
        shown = page.inner_text(f"#{name}").replace(" ± ", "±")
        assert shown == uncertain(predicted[name], predicted[f"{name}_std"])

    page.wait_for_selector("#structure canvas")
    assert "CLOUD" in page.locator("#heat-capacity .legendtext").all_text_contents()


def test_drop(page):
    drop = """text => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([text], "MgO.cif"));
        document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));
    }"""
    page.evaluate(drop, (EXAMPLES / "MgO.cif").read_text())
    page.wait_for_selector("#summary h2")
    assert page.inner_text("#summary h2") == "MgO"


def test_download(page):
    page.click("#sample")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "NaCl.json"
    report = json.loads(Path(download.value.path()).read_text())
    assert report["formula"] == "NaCl"
    assert len(report["thermodynamics"]["temperature"]) == 201


def test_a_bad_file_gives_one_message_and_the_page_goes_on(page, tmp_path):
    page.set_input_files("#file", EXAMPLES / "NaCl.cif")
    page.wait_for_selector("#summary")
    bad = tmp_path / "bad<i>.cif"
    bad.write_text("no crystal")
    page.set_input_files("#file", bad)
    page.wait_for_selector("#error:visible")
    assert page.inner_text("#error").startswith("bad<i>.cif: ")
    assert page.locator("#summary").count() == 0

    large = tmp_path / "large.cif"
    large.write_bytes(b"#" * (2**21 + 1))
    page.set_input_files("#file", large)
    assert page.inner_text("#error") == "large.cif: the file is larger than 2 MiB."

    page.set_input_files("#file", EXAMPLES / "MgO.cif")
    page.wait_for_selector("#summary")
    assert page.locator("#error").is_hidden()
