"""The built book in a real browser: nothing asked of other sites, no errors, narrow and dark."""

import pytest
from conftest import SITE, site_pages

pytestmark = pytest.mark.book

# Elements that reach beyond the window although nothing around them scrolls or hides them.
OVERFLOWING = """() => [...document.querySelectorAll(".bd-article *")].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  if (!element.checkVisibility()) return false;
  for (let up = element.parentElement; up; up = up.parentElement)
    if (getComputedStyle(up).overflowX !== "visible") return false;
  return true;
}).map(element => element.outerHTML.slice(0, 120))"""
# Code, printed lines, tables and formulas that have to be scrolled sideways; folded ones too.
SCROLLING = """() => {
  document.querySelectorAll("details").forEach(details => { details.open = true; });
  const boxes = [...document.querySelectorAll(".bd-article :is(pre, div.math, .output, " +
    ".pst-scrollable-table-container, .table-wrapper, .mmfuse-ledger, .mmfuse-sources)")];
  return boxes.filter(box => box.scrollWidth > box.clientWidth + 2)
    .map(box => box.className + ": " + box.innerText.slice(0, 80));
}"""
# Type in figures, in pixels of the screen, where it is smaller than 9.
SMALL = """() => {
  document.querySelectorAll("details").forEach(details => { details.open = true; });
  const sizes = [...document.querySelectorAll(".mmfuse-title, .mmfuse-label")].map(
    tag => [parseFloat(getComputedStyle(tag).fontSize), tag.textContent]);
  document.querySelectorAll("svg.mmfuse-drawing, svg.mmfuse-map").forEach(svg => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    svg.querySelectorAll("text").forEach(text => sizes.push(
      [parseFloat(getComputedStyle(text).fontSize) * scale, text.textContent]));
  });
  return sizes.filter(([size, text]) => size < 8.95 && text.trim());
}"""
# Formulas that reach beyond their place on the page: a column, or a table that scrolls.
CUT_FORMULAS = """() => [...document.querySelectorAll(".katex")].filter(formula => {
  const box = formula.closest("td, p, li, div");
  return formula.getBoundingClientRect().right > box.getBoundingClientRect().right + 2;
}).map(formula => formula.querySelector("annotation").textContent)"""
every_page = pytest.mark.parametrize("page", site_pages())


@every_page
@pytest.mark.parametrize("width", [390, 820])
def test_page_is_whole_on_a_phone_and_a_tablet(width, page, address, open_page):
    tab = open_page(f"{address}/{page}", width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(OVERFLOWING) == []
    assert tab.evaluate(SMALL) == []
    assert tab.evaluate(CUT_FORMULAS) == []


@every_page
def test_nothing_has_to_be_scrolled_sideways_on_a_laptop(page, address, open_page):
    tab = open_page(f"{address}/{page}")
    assert tab.evaluate(SCROLLING) == []
    assert tab.evaluate(SMALL) == []


def test_a_figure_is_shown_large_and_closes_again(address, open_page):
    tab = open_page(f"{address}/notebooks/01_skipgram_mathematics.html")
    figure = tab.locator("figure.mmfuse-figure").first
    before = figure.locator("svg").first.bounding_box()["width"]
    for way in ("click", "keyboard"):
        if way == "click":
            figure.locator(".mmfuse-panels").click()
        else:
            figure.locator("button").press("Enter")
        large = tab.locator("dialog.mmfuse-large svg").first.bounding_box()["width"]
        assert large > 1.2 * before
        tab.keyboard.press("Escape")
        tab.wait_for_selector("dialog.mmfuse-large", state="detached")


def test_a_film_strip_moves_while_it_is_played_and_no_longer(address, open_page):
    tab = open_page(f"{address}/notebooks/06_video_features.html")
    button = tab.locator(".mmfuse-play").first
    figure = tab.locator("figure.mmfuse-figure", has=tab.locator(".mmfuse-play")).first
    frames = figure.locator(".mmfuse-row").first.locator("img:not(.mmfuse-screen)")
    wanted = set(frames.evaluate_all("all => all.map(frame => frame.src)"))
    assert len(wanted) > 2 and not figure.locator(".mmfuse-screen").count()
    button.press("Enter")
    screen = figure.locator(".mmfuse-screen").first
    seen = set()
    for _ in range(len(wanted) + 1):            # each time another frame, until all were there
        before = screen.evaluate("screen => screen.src")
        tab.wait_for_function("([screen, before]) => screen.src !== before",
                              arg=[screen.element_handle(), before])
        seen.add(screen.evaluate("screen => screen.src"))
    assert len(seen) > 2 and seen <= wanted and button.inner_text() == "Stop"
    button.press("Enter")
    assert screen.is_hidden() and button.inner_text() == "Play"
    last = screen.get_attribute("src")
    tab.wait_for_timeout(500)                   # three frames, if it still moved
    assert screen.get_attribute("src") == last


def test_figures_have_no_white_ground_in_dark_mode(address, open_page):
    tab = open_page(f"{address}/notebooks/01_skipgram_mathematics.html", color_scheme="dark")
    page = tab.evaluate("getComputedStyle(document.body).color")
    for figure in tab.locator("svg.mmfuse-drawing").all():
        assert figure.evaluate("svg => getComputedStyle(svg).color") == page
        assert "rgba(0, 0, 0, 0)" in figure.evaluate(
            "svg => [svg, svg.parentElement, svg.closest('figure')].map("
            "part => getComputedStyle(part).backgroundColor)")


def test_the_first_column_of_a_table_stays_in_place_on_a_phone(address, open_page):
    tab = open_page(f"{address}/notebooks/09_retrieval.html", width=390)
    place = tab.locator("div.cell_output table tbody tr > *:first-child").first
    assert place.evaluate("cell => getComputedStyle(cell).position") == "sticky"


@pytest.mark.parametrize("place", ["", "#exercises"])
def test_an_old_address_leads_to_the_new_one(place, address, open_page):
    tab = open_page(f"{address}/notebooks/06_fusion.html{place}")
    tab.wait_for_url(f"**/notebooks/07_fusion.html{place}")
    assert tab.locator("article h1").inner_text().startswith("7. Fusion")


def test_a_term_is_linked_to_the_glossary_once_with_its_meaning(address, open_page):
    tab = open_page(f"{address}/notebooks/07_fusion.html")
    links = tab.locator("a.mmfuse-term")
    targets = [link.get_attribute("href") for link in links.all()]
    assert len(targets) == len(set(targets)) > 5
    assert all(len(link.get_attribute("title")) > 20 for link in links.all())
    links.first.click()
    tab.wait_for_url("**/glossary.html#term-*")


@every_page
def test_page_opens_from_the_disk(page, open_page):
    tab = open_page((SITE / page).as_uri(), color_scheme="dark")
    assert tab.locator(".math").count() == tab.locator(".math:has(.katex)").count()
    assert tab.evaluate("document.fonts.ready.then(() => true)")


def test_formulas_are_shown_once_said_once_and_copied_as_tex(address, open_page):
    tab = open_page(f"{address}/notebooks/01_skipgram_mathematics.html")
    formula = tab.locator(".katex").first
    assert formula.locator(".katex-html").is_visible()
    assert formula.locator(".katex-html").get_attribute("aria-hidden") == "true"
    hidden = formula.locator(".katex-mathml")       # from sight, not from screen readers
    assert hidden.evaluate("part => part.getBoundingClientRect().width") <= 1
    copied = tab.evaluate("""() => {
      const paragraph = document.querySelector("p:has(.katex)");
      getSelection().selectAllChildren(paragraph);
      const event = new ClipboardEvent("copy", {clipboardData: new DataTransfer()});
      document.dispatchEvent(event);
      const tex = [...paragraph.querySelectorAll("annotation")].map(part => part.textContent);
      return [event.clipboardData.getData("text/plain"), tex];
    }""")
    assert len(copied[1]) > 0
    for tex in copied[1]:
        assert f"${tex}$" in copied[0]


def test_roots_are_drawn(address, open_page):
    """The sign is as high as what stands under it, whatever the page says of its drawings."""
    tab = open_page(f"{address}/notebooks/13_flickr8k.html")
    sizes = tab.evaluate("""() => [...document.querySelectorAll(".katex .sqrt")].map(root => [
      root.querySelector("svg").getBoundingClientRect().height,
      root.getBoundingClientRect().height])""")
    assert sizes and all(sign > 0.6 * whole > 5 for sign, whole in sizes)


def test_a_plot_is_drawn_when_it_comes_near_and_follows_the_theme(address, open_page):
    tab = open_page(f"{address}/notebooks/03_word2vec_gensim.html", color_scheme="dark")
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    plot = tab.locator(".mmfuse-plotly")
    assert plot.locator("p").text_content() and not any("plotly" in url for url in asked)
    plot.scroll_into_view_if_needed()
    tab.wait_for_selector(".mmfuse-plotly .main-svg")
    assert any("plotly" in url for url in asked) and plot.locator("p").count() == 0
    ink = "document.querySelector('.mmfuse-plotly')._fullLayout.font.color"
    assert tab.evaluate(ink) == tab.evaluate("getComputedStyle(document.body).color")


def test_the_theme_button_switches_to_dark(address, open_page):
    tab = open_page(f"{address}/index.html", color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    seen = {tab.evaluate("document.documentElement.dataset.theme"): tab.evaluate(background)}
    for _ in range(3):
        tab.locator("button.theme-switch-button").first.click()
        theme = tab.evaluate("document.documentElement.dataset.theme")
        seen[theme] = tab.evaluate(background)
    assert set(seen) == {"light", "dark"}
    assert seen["light"] != seen["dark"]


@pytest.mark.parametrize("way", ["server", "disk"])
def test_search_finds_a_word(way, address, open_page):
    start = address if way == "server" else SITE.as_uri()
    tab = open_page(f"{start}/search.html?q=gradient")
    # Hits are shown one after the other.
    tab.wait_for_selector("#search-results ul.search li a[href*=refresher]", timeout=15000)


@pytest.mark.parametrize(("folded", "inside"), [
    ("details.hide", "pre"), (".bd-article details:not([class])", "p")],
    ids=["solution of an exercise", "answer to a question"])
def test_what_is_folded_away_opens_on_a_click(folded, inside, address, open_page):
    tab = open_page(f"{address}/notebooks/01_skipgram_mathematics.html")
    details = tab.locator(folded).first
    assert not details.locator(inside).first.is_visible()
    details.locator("summary").click()
    assert details.locator(inside).first.is_visible()
