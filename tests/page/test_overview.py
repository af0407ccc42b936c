"""The overview: filters, order, search, the URL, the keyboard, sizes, dark mode, print."""

import pytest
from made_up import NARROW, WIDE

ALL = ["appears", "stays-low", "escaped", "nothing", "copies", "many"]


def shown(page) -> list[str]:
    """The claims that a reader sees, in order."""
    details = page.locator(".claim:visible > details")
    return [name.split(".", 1)[1] for name in details.evaluate_all("all => all.map(x => x.dataset.claim)")]


def said(page) -> str:
    return page.locator("#shown").inner_text()


def hash_of(page) -> str:
    return page.evaluate("location.hash")


def tile(page, verdict: str):
    return page.locator(f'.tile[data-verdict="{verdict}"]')


def test_it_opens_from_disk_with_every_claim(opened, built):
    page = opened(built)
    assert shown(page) == ALL
    assert said(page) == "6 of 6 claims shown"
    assert page.locator("h1").inner_text() == "Which claims about the insides of transformers hold?"
    assert tile(page, "reproduced").locator(".tile-count").inner_text() == "2"


def test_markup_in_a_statement_is_text(opened, built):
    page = opened(built)
    assert "taken over" not in page.title()
    assert page.locator("#claim-first\\.escaped .statement").inner_text().startswith("<script>document.title")


def test_verdicts_filter_and_stand_in_the_url(opened, built):
    page = opened(built)
    tile(page, "unsound").click()
    assert shown(page) == ["copies"]
    tile(page, "reproduced").click()
    assert shown(page) == ["appears", "copies", "many"]
    assert hash_of(page) == "#verdict=reproduced,unsound"
    assert tile(page, "unsound").get_attribute("aria-pressed") == "true"
    tile(page, "unsound").click()
    tile(page, "reproduced").click()
    assert shown(page) == ALL
    assert hash_of(page) == ""


def test_a_paper_without_a_shown_claim_is_not_shown(opened, built):
    page = opened(built)
    page.select_option("#paper", "second")
    assert shown(page) == ["copies", "many"]
    assert page.get_by_role("heading", name="The second paper").is_visible()
    assert page.get_by_role("heading", name="The first paper").count() == 0


def test_search_takes_every_word_and_ignores_case(opened, built):
    page = opened(built)
    page.fill("#search", "LOSS low")
    assert shown(page) == ["stays-low"]
    assert said(page) == "1 of 6 claims shown"
    page.fill("#search", "no such thing")
    assert shown(page) == []
    page.click("#reset")
    assert shown(page) == ALL
    assert page.input_value("#search") == ""


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("verdict", ["appears", "stays-low", "escaped", "nothing", "many", "copies"]),
        ("verdict-last", ["nothing", "escaped", "stays-low", "appears", "copies", "many"]),
        ("seeds", ["appears", "stays-low", "escaped", "nothing", "many", "copies"]),
        ("statement", ["escaped", "nothing", "appears", "stays-low", "many", "copies"]),
        ("", ALL),
    ],
)
def test_order_is_within_each_paper(opened, built, order, expected):
    page = opened(built)
    page.select_option("#sort", "verdict-last")
    page.select_option("#sort", order)
    assert shown(page) == expected


def test_a_filtered_view_can_be_sent(opened, built):
    page = opened(
        built, "verdict=reproduced,inconclusive&paper=first&sort=verdict-last&q=heads&claim=first.appears"
    )
    assert shown(page) == ["appears"]
    assert page.input_value("#search") == "heads"
    assert page.input_value("#sort") == "verdict-last"
    assert page.locator("#claim-first\\.appears").evaluate("x => x.open")


def test_an_address_with_nonsense_shows_everything(opened, built):
    page = opened(built, "verdict=wonderful&paper=none&sort=up&view=nowhere&claim=no.such")
    assert page.input_value("#sort") == ""
    assert page.locator("#claims").is_visible()


def test_changing_the_address_changes_the_page(opened, built):
    page = opened(built)
    page.evaluate("location.hash = 'verdict=unsound'")
    page.wait_for_function("document.querySelectorAll('.claim:not([hidden])').length === 1")
    assert shown(page) == ["copies"]


def test_keyboard_only(opened, built):
    """From the top of the page to an open claim and back, without a mouse."""
    page = opened(built)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.tile[data-verdict=unsound]')"):
            break
    page.keyboard.press("Space")
    assert shown(page) == ["copies"]
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.claim summary')"):
            break
    page.keyboard.press("Enter")
    assert page.locator("#claim-second\\.copies").evaluate("x => x.open")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert not page.locator("#claim-second\\.copies").evaluate("x => x.open")


@pytest.mark.parametrize("size", [NARROW, (900, 900), WIDE])
def test_no_width_makes_the_page_scroll_sideways(opened, built, size):
    page = opened(built, "claim=first.appears", size=size)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_dark_mode_is_dark(opened, built):
    luminance = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    assert opened(built, dark=True).evaluate(luminance) < 150
    assert opened(built).evaluate(luminance) > 600


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    "state", ["", "claim=second.copies", "view=monitor"], ids=["overview", "claim", "monitor"]
)
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_axe_finds_no_violations(opened, built, dark, state, size):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(built, state, size=size, dark=dark)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_paper_shows_all_there_is(opened, built):
    """Printing opens every claim, and closes them again."""
    page = opened(built)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("use[data-href]").count() == 0
    assert page.locator("#claim-first\\.nothing .facts").is_visible()
    assert not page.locator(".controls").is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_without_scripts_everything_can_be_read(opened, built):
    page = opened(built, java_script_enabled=False)
    assert page.locator(".claim:visible").count() == 6
    assert not page.locator(".controls").is_visible()
    page.locator("#claim-first\\.appears > summary").click()
    assert page.locator("#claim-first\\.appears .facts").is_visible()
