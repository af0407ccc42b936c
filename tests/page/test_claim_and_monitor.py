"""A claim's evidence, its drawing, and the view for people who run models; pictures for people to look at."""

import base64

import pytest
from made_up import NARROW, WIDE


@pytest.fixture
def claim(opened, built):
    """An open claim."""
    page = opened(built, "claim=second.copies")
    return page.locator("#claim-second\\.copies")


def test_a_claim_says_why_to_believe_it(claim):
    text = claim.inner_text()
    for part in (
        "Because it is so.",
        "≥ 1, last changed in commit 0123456789 on 2026-01-02.",
        "A one-layer model: 2 [1.98, 2.02]. It met the criterion too.",
        "snakemake --cores all results/claims/second.copies.json",
        "A remark beside the claim.",
        "A conceptual replication",
        "2 jobs, 76 s, at most 512 MB",
    ):
        assert part in text
    links = claim.locator(".links a").evaluate_all("all => all.map(x => x.getAttribute('href'))")
    assert links == [
        "claims/second.copies.json",
        "second/tables/scores.csv",
        "second/figures/curve.svg",
        "second/figures/curve.png",
        "../config/studies/second.yaml",
        "#claim=second.copies",
    ]


def test_values_stand_seed_by_seed(claim):
    rows = claim.locator("table.seeds tr").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
    )
    assert rows == [
        ["seed", "0", "1", "2"],
        ["ours", "2.99", "3", "3.01"],
        ["control", "2", "2", "2"],
    ]


COLOUR = """picture => {
  const image = new Image();
  return new Promise((done) => {
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 1;
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0, 1, 1);
      done([...context.getImageData(0, 0, 1, 1).data].slice(0, 3));
    };
    image.src = picture;
  });
}"""


def colour(picture: bytes, page) -> list[int]:
    """The mean colour of a PNG, asked of the browser."""
    return page.evaluate(COLOUR, f"data:image/png;base64,{base64.b64encode(picture).decode()}")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_the_figure_is_drawn(opened, built, scripts):
    """Its one rectangle, in its place in a figure twice as wide as high, with scripts and without."""
    page = opened(built, java_script_enabled=scripts)
    claim = page.locator("#claim-first\\.appears")
    claim.locator("> summary").click()
    figure = claim.locator("svg.drawing:visible")
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    assert box["height"] == pytest.approx(box["width"] / 2, rel=0.01)
    middle = {
        "x": box["x"] + 0.4 * box["width"],
        "y": box["y"] + 0.4 * box["height"],
        "width": 8,
        "height": 8,
    }
    assert colour(page.screenshot(clip=middle), opened(built)) == pytest.approx([0x1F, 0x7D, 0xBD], abs=3)


def test_a_figure_is_drawn_only_where_its_claim_is_open(opened, built):
    page = opened(built, "claim=second.copies")
    page.wait_for_function("document.querySelectorAll('.drawing use[href]').length === 1")
    assert page.locator(".drawing use[data-href]").count() == 5


def test_the_axis_marks_value_criterion_control_and_paper(claim):
    axis = claim.locator("summary svg.axis")
    assert (
        axis.get_attribute("aria-label") == "ours 3, interval 2.5 to 3.5; criterion ≥ 1; paper 2.9; control 2"
    )

    def middle(selector: str) -> float:
        box = axis.locator(selector).first.bounding_box()
        return box["x"] + box["width"] / 2

    edge, control, paper, ours = map(
        middle, (".axis-edge", ".axis-square", ".axis-diamond", ".axis-dot.ours")
    )
    assert edge < control < paper < ours
    assert (control - edge) == pytest.approx(ours - control, rel=0.05)


def test_what_to_monitor_is_a_view_of_its_own(opened, built):
    page = opened(built)
    page.get_by_role("link", name="For people who run models").click()
    assert page.evaluate("location.hash") == "#view=monitor"
    assert not page.locator("#claims").is_visible()
    assert page.evaluate("document.activeElement.id") == "monitor-title"
    rows = page.locator(".reading tbody tr").evaluate_all(
        "rows => rows.map(row => [row.children[0].textContent, row.children[2].textContent])"
    )
    assert rows == [["1st", "0.8 [0.7, 0.9]"], ["2nd", "0.1 [0, 0.2] 1 of 2 without"]]
    assert "Shared by as much as 1.25 equal heads" in page.locator(".effective").inner_text()
    page.get_by_role("link", name="Claims", exact=True).click()
    assert page.locator("#claims").is_visible()
    assert page.evaluate("location.hash") == ""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, (900, 900), WIDE], ids=["390", "900", "1400"])
@pytest.mark.parametrize(
    ("name", "state"), [("overview", ""), ("claim", "claim=first.appears"), ("monitor", "view=monitor")]
)
def test_pictures_are_kept(opened, built, shots, name, state, size, dark):
    page = opened(built, state, size=size, dark=dark)
    shot = shots / f"{name}-{size[0]}-{'dark' if dark else 'light'}.png"
    page.screenshot(path=shot)
    assert shot.stat().st_size > 5000
