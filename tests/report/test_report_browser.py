"""`report.html` in headless Chromium: what a reader sees and what keys do."""

import pytest
from browser import Page, find_browser
from report_example import CUT, FRAMES, HOSTILE, HOSTILE_METHOD, SEQUENCES, truth, write_example

from jaxmotion.report.encoding import svg_path
from jaxmotion.report.page import write_report

BROWSER = find_browser()
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")

NAMES = "[...document.querySelectorAll('.sequences > li:not([hidden]) h3')].map((h) => h.innerText)"
COUNTER = "document.querySelector('.counter').textContent"
TABLE = "#table"
ROWS = (
    f"[...document.querySelectorAll('{TABLE} tbody .method > span')]"
    ".map((name) => name.innerText.trim())"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, write_example(folder, include_frames=True))
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    assert BROWSER is not None
    with Page(BROWSER, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser, report):
    browser.resize(1280, 800)
    browser.open(report)
    browser.wait(f"{COUNTER} !== ''")
    yield browser
    assert browser.heard("Runtime.exceptionThrown") == []
    entries = [event["entry"] for event in browser.heard("Log.entryAdded")]
    assert [entry for entry in entries if entry["level"] == "error"] == []


def choose(page, selector, value):
    page.run(
        f"(() => {{ const e = document.querySelector('{selector}'); e.value = '{value}';"
        " e.dispatchEvent(new Event('change')); e.dispatchEvent(new Event('input')) })()"
    )


def menu(label):
    number = ("order", "score of", "difference to").index(label) + 1
    return f".filters label:nth-of-type({number}) select"


def click_pill(page, text):
    pills = "[...document.querySelectorAll('.pill')]"
    page.run(f"{pills}.find((pill) => pill.innerText.trim() === '{text}').click()")


def at_frame(number, cut):
    return f"{COUNTER} === 'frame {number} of {FRAMES}, cut {cut} of 3'"


def test_nothing_is_asked_of_the_network(page, report):
    asked = {event["request"]["url"] for event in page.heard("Network.requestWillBeSent")}
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}


def test_hostile_names_are_only_text(page):
    assert page.run(NAMES) == list(SEQUENCES)
    assert page.run(ROWS) == ["lt_ms", HOSTILE_METHOD, "LT-MS", "otsu"]
    number = SEQUENCES.index(HOSTILE)
    page.run(f"document.querySelectorAll('.sequences h3 button')[{number}].click()")
    page.wait("document.querySelectorAll('.player').length === 2")
    assert page.run("window.hacked") is None
    assert page.run("document.querySelectorAll('img:not([alt])').length") == 0


def test_table_sorts_by_click_and_by_key(page):
    heads = f"document.querySelectorAll('{TABLE} thead button')"
    title = f"[...{heads}].findIndex((b) => b.textContent === 'J mean')"
    page.run(f"{heads}[{title}].click()")
    assert page.run(f"{heads}[{title}].parentElement.ariaSort") == "descending"
    rows = f"[...document.querySelectorAll('{TABLE} tbody tr')]"
    values = f"{rows}.map((row) => row.cells[{title}].innerText)"
    falling = page.run(values)
    assert falling == sorted(falling, reverse=True)
    page.run(f"{heads}[{title}].focus()")
    page.press("Enter")
    assert page.run(f"{heads}[{title}].parentElement.ariaSort") == "ascending"
    assert page.run(values) == falling[::-1]


def test_keys_step_through_the_frames(page):
    page.run("document.querySelector('.player').focus()")
    page.wait(at_frame(1, 1))
    for _ in range(CUT):
        page.press("ArrowRight")
    page.wait(at_frame(CUT + 1, 2))
    page.press("ArrowLeft")
    page.wait(at_frame(CUT, 1))
    page.press("End")
    page.wait(at_frame(FRAMES, 3))
    page.press("ArrowRight")
    page.wait(at_frame(FRAMES, 3))
    page.press("Home")
    page.wait(at_frame(1, 1))


def test_panels_show_the_frame(page):
    page.run("document.querySelector('.player').focus()")
    page.press("End")
    page.wait(at_frame(FRAMES, 3))
    titles = "[...document.querySelectorAll('.player figcaption > b')].map((b) => b.innerText)"
    assert page.run(titles) == ["Video", "Flow", *["Segments", "Foreground"] * 2]
    drawn = "[...document.querySelectorAll('.player .annotation')]"
    assert (
        page.run(f"{drawn}.map((path) => path.getAttribute('d'))") == [svg_path(truth(0)[-1])] * 6
    )

    def color(panel, x, y):
        return page.run(
            f"[...document.querySelectorAll('.player canvas')[{panel}].getContext('2d')"
            f".getImageData({x}, {y}, 1, 1).data].slice(0, 3)"
        )

    assert color(0, 50, 5) == pytest.approx([20 * (FRAMES - 1), 100, 200], abs=6)
    assert color(2, 60, 20) == [230, 159, 0]  # segment 1, where the object is by now
    assert color(2, 90, 5) == [110, 110, 110]
    legend = "document.querySelectorAll('.player .legend')[0].innerText"
    assert page.run(legend).split() == ["0", "1", "✓", "foreground", "2"]


def test_play_goes_to_the_end_and_stops(page):
    choose(page, ".controls select", "24")
    page.run("document.querySelector('.player').focus()")
    page.press(" ")
    page.wait("document.querySelector('.play').textContent.includes('Pause')")
    page.wait(at_frame(FRAMES, 3))
    page.wait("document.querySelector('.play').textContent.includes('Play')")
    page.press(" ")  # from the start again
    page.press(" ")
    page.wait("document.querySelector('.play').textContent.includes('Play')")
    assert page.run("document.querySelector('.player input[type=range]').value") != str(FRAMES)


def test_slider_and_curve_scrub(page):
    choose(page, ".player input[type=range]", "7")
    page.wait(at_frame(8, 2))
    text = page.run("document.querySelector('.player input[type=range]').ariaValueText")
    assert text == f"frame 8 of {FRAMES}, cut 2 of 3"
    box = page.run(
        "(() => { document.querySelector('.timeline').scrollIntoView({block: 'center'});"
        " const { x, y, width } = document.querySelector('.timeline svg').getBoundingClientRect();"
        " return { x, y, width } })()"
    )
    x = box["x"] + box["width"] * 10 / (FRAMES - 1)
    about = {"x": x, "y": box["y"] + 20, "button": "left", "clickCount": 1}
    page.call("Input.dispatchMouseEvent", type="mousePressed", **about)
    page.call("Input.dispatchMouseEvent", type="mouseReleased", **about)
    page.wait(at_frame(11, 3))


def test_curves_have_a_point_per_frame_and_show_the_cuts(page):
    curves = "document.querySelector('.timeline').querySelectorAll"
    assert page.run(f"{curves}('.cut').length") == 2
    paths = page.run(f"[...{curves}('path')].map((p) => p.getAttribute('d'))")
    assert [path.count("L") for path in paths] == [FRAMES - 1] * 2


def test_sequences_are_filtered_and_sorted(page):
    choose(page, ".filters input", "CAR")
    assert page.run(NAMES) == ["Car 10", "car 9"]
    assert "2 of 4 sequences shown" in page.run("document.querySelector('#sequences').innerText")
    choose(page, ".filters input", "")
    choose(page, menu("order"), "name")
    assert page.run(NAMES)[1:] == ["car 9", "Car 10", "dog"]  # numbers count
    choose(page, menu("order"), "worst")
    assert page.run(NAMES) == list(SEQUENCES)[::-1]
    choose(page, menu("order"), "loss")
    choose(page, menu("difference to"), "published LT-MS")
    assert page.run(NAMES)[:2] == ["car 9", "dog"]  # the others were not published
    shown = page.run("document.querySelectorAll('.summary')[1].innerText")
    score, difference = shown.removeprefix("J ").split()
    assert float(difference) == pytest.approx(float(score) - 0.5)


def test_measure_and_methods_are_chosen(page):
    bars = "[...document.querySelector('.bars').querySelectorAll('.name')].map((n) => n.innerText)"
    assert page.run(bars) == ["lt_ms", HOSTILE_METHOD, "published LT-MS"]
    click_pill(page, "otsu")
    assert page.run(bars) == ["lt_ms", HOSTILE_METHOD, "published LT-MS", "otsu"]
    assert page.run("document.querySelector('#differences-section').hidden") is False
    click_pill(page, "F")
    assert page.run("document.querySelector('.summary').innerText").startswith("F ")
    assert page.run("document.querySelector('#differences-section').hidden") is True  # of J only


def test_datasets_are_chosen_and_the_address_leads_back(page, report):
    click_pill(page, "whole")
    assert page.run(ROWS) == ["lt_ms"]
    page.open(report, "#dataset=made&sequence=car+9&frame=7")
    page.wait(at_frame(8, 2))
    opened = "document.querySelector('[aria-expanded=true]').innerText"
    assert page.run(opened) == "car 9"
    page.press("Tab")
    page.run("document.querySelector('.player').focus()")
    page.press("ArrowRight")
    page.wait("location.hash === '#dataset=made&sequence=car+9&frame=8'")


def test_everything_is_reached_by_tab_has_a_name_and_shows_its_focus(page):
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    focusable = [
        node
        for node in nodes
        if any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", []))
    ]
    nameless = [node["role"]["value"] for node in focusable if not node["name"]["value"]]
    assert set(nameless) <= {"RootWebArea"}
    # Radio buttons of one name are one stop.
    wanted = page.run(
        "[...document.querySelectorAll('button, select, input:not([type=radio]), [tabindex=\"0\"]')"
        "]"
        ".filter((e) => e.checkVisibility()).length"
        " + document.querySelectorAll('[type=radio]:checked').length"
    )
    page.run("document.body.focus(), window.reached = new Set()")
    for _ in range(wanted):
        page.press("Tab")
        visible = page.run(
            "(() => { const e = document.activeElement; reached.add(e);"
            " const shown = e.closest('.pill') ?? e;"
            " return getComputedStyle(shown).outlineStyle !== 'none' })()"
        )
        assert visible, page.run("document.activeElement.outerHTML")
    assert page.run("reached.size") == wanted


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_page_fits_the_screen(page, width):
    page.resize(width, 800)
    assert page.run("document.documentElement.scrollWidth") == width


def test_dark_and_light_are_readable(page):
    contrast = """(() => {
      const light = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).map((v) => v / 255)
          .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const page = light(getComputedStyle(document.body).backgroundColor);
      return [page, ...['body', '.about', '.note', 'dd', '.better', 'footer'].map((name) => {
        const ink = light(getComputedStyle(document.querySelector(name)).color);
        return (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05);
      })] })()"""
    for dark in (False, True):
        page.resize(1280, 800, dark)
        background, *ratios = page.run(contrast)
        assert (background < 0.1) == dark
        assert min(ratios) >= 4.5  # WCAG AA


def test_print_keeps_the_mark_of_partial_results(page):
    page.resize(800, 1100, media="print")
    assert page.run("document.querySelector('.partial').checkVisibility()")
    assert not page.run("document.querySelector('.controls').checkVisibility()")
    assert page.run("document.querySelector('.sequences canvas').checkVisibility()")


def test_means_over_a_whole_dataset_are_shown_on_demand(page):
    assert "RCF" not in page.run("document.querySelector('main').innerText")
    page.run("document.querySelector('#headline .field input').click()")
    assert "RCF" in page.run(ROWS)
    assert "another thesis" in page.run("document.querySelector('#headline').innerText")
