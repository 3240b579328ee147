"""Every page for everyone: axe-core finds nothing in light or dark, all goes by keyboard, and
nothing moves by itself."""

import base64
import io
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from conftest import SITE, site_pages
from javascript import node_modules
from PIL import Image, UnidentifiedImageError

pytestmark = pytest.mark.book

every_page = pytest.mark.parametrize("page", site_pages())
CHAPTER = "notebooks/01_skipgram_mathematics.html"
# What is folded is looked at as well. Nothing fades: a color on its way is neither old nor new.
UNFOLD = """() => {
  document.querySelectorAll("details").forEach(details => { details.open = true; });
  document.head.append(Object.assign(document.createElement("style"), {
    textContent: "*, *::before, *::after { transition: none !important; " +
      "animation: none !important; }" }));
}"""
# All rules in light. In dark only colors change, and one rule is about them. A heading that is a
# formula is not empty: speech reads its MathML, which axe does not see.
FINDINGS = """async theme => {
  document.documentElement.dataset.theme = theme;
  const settings = { resultTypes: ["violations"], iframes: false, preload: false };
  if (theme === "dark") settings.runOnly = ["color-contrast"];
  const { violations } = await axe.run(settings);
  const isFormula = ({ target }) => document.querySelector(target[0])?.querySelector("math");
  return violations.flatMap(({ id, nodes }) => nodes.filter(
    node => id !== "empty-table-header" || !isFormula(node)).slice(0, 5).map(
    node => `${theme}: ${id}: ${node.html.slice(0, 160)}: ${node.failureSummary}`));
}"""
# The element with the focus: what it is, and how much it stands out from what is around it.
FOCUSED = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  return { tag: element.tagName, text: element.innerText ?? "", id: element.id,
           name: element.className, href: element.getAttribute("href"),
           inside: element.closest("[data-live]")?.dataset.live ?? null,
           ring: parseFloat(style.outlineWidth) * (style.outlineStyle !== "none"),
           shadow: style.boxShadow, box: element.getBoundingClientRect().toJSON() };
}"""
RUNNING = """() => document.getAnimations().filter(animation => animation.playState === "running")
  .map(animation => animation.effect?.target?.outerHTML.slice(0, 120) ?? String(animation))"""


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core, pinned with the packages of the pages."""
    return (node_modules() / "axe-core" / "axe.min.js").read_text(encoding="utf8")


@every_page
def test_axe_finds_nothing_in_light_or_dark(page, address, open_page, axe):
    tab = open_page(f"{address}/{page}", color_scheme="light", reduced_motion="reduce")
    tab.evaluate(UNFOLD)
    tab.evaluate(axe)
    found = [line for theme in ("light", "dark") for line in tab.evaluate(FINDINGS, theme)]
    assert not found, "\n".join(found)


def test_axe_finds_what_is_wrong(address, open_page, axe):
    tab = open_page(f"{address}/index.html", color_scheme="light")
    tab.evaluate("""() => document.querySelector("article").insertAdjacentHTML("beforeend",
        '<img src="data:,"><p style="color: #eee; background: #fff">unseen</p>')""")
    tab.evaluate(axe)
    for theme, rules in (("light", {"image-alt", "color-contrast"}), ("dark", {"color-contrast"})):
        assert {line.split(": ")[1] for line in tab.evaluate(FINDINGS, theme)} >= rules


def focused(tab):
    return tab.evaluate(FOCUSED)


def is_visible(focus):
    """Whether it is seen where the focus is: a ring or a shadow, and on the screen."""
    return (focus["ring"] >= 1 or focus["shadow"] != "none") and focus["box"]["width"] > 0


def tab_to(tab, wanted, most=80):
    """Press Tab until an element with the focus is wanted; fails when it never is."""
    for _ in range(most):
        tab.keyboard.press("Tab")
        if wanted(found := focused(tab)):
            return found
    raise AssertionError(f"not reached by {most} times Tab; the last was {found}")


def test_the_first_stop_of_the_keyboard_skips_to_the_text(address, open_page):
    tab = open_page(f"{address}/{CHAPTER}")
    tab.keyboard.press("Tab")
    skip = focused(tab)
    assert skip["href"] == "#main-content" and is_visible(skip)
    tab.keyboard.press("Enter")
    first = tab_to(tab, lambda found: True)
    assert tab.evaluate("() => document.querySelector('#main-content').contains("
                        "document.activeElement)"), first


def test_menu_search_and_theme_are_reached_and_seen(address, open_page):
    tab = open_page(f"{address}/{CHAPTER}")
    for wanted in ("search-button", "theme-switch-button", "reference internal"):
        found = tab_to(tab, lambda focus, wanted=wanted: wanted in str(focus["name"]))
        assert is_visible(found), found


def test_search_opens_and_finds_by_keyboard(address, open_page):
    tab = open_page(f"{address}/{CHAPTER}")
    tab_to(tab, lambda found: "search-button" in str(found["name"]))
    tab.keyboard.press("Enter")
    assert focused(tab)["tag"] == "INPUT"
    tab.keyboard.type("gradient")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=gradient*")


def test_the_menu_of_a_phone_opens_and_closes_by_keyboard(address, open_page):
    tab = open_page(f"{address}/{CHAPTER}", width=390)
    button = tab_to(tab, lambda found: "primary-toggle" in str(found["name"]))
    assert is_visible(button), button
    tab.keyboard.press("Enter")
    tab.wait_for_function("() => document.querySelector('.bd-sidebar-primary').contains("
                          "document.activeElement)")
    tab_to(tab, lambda found: "reference internal" in str(found["name"]))
    tab.wait_for_function("() => document.activeElement.getBoundingClientRect().x >= 0")
    tab.keyboard.press("Escape")
    assert "primary-toggle" in focused(tab)["name"]
    assert not tab.is_checked("#pst-primary-sidebar-checkbox")


def test_figures_and_what_is_folded_open_by_keyboard(address, open_page):
    tab = open_page(f"{address}/{CHAPTER}")
    enlarge = tab.locator("button.mmfuse-enlarge").first
    enlarge.focus()
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Tab")
    assert is_visible(focused(tab)), focused(tab)
    assert enlarge.evaluate("button => getComputedStyle(button).opacity") == "1"
    tab.keyboard.press("Enter")
    assert tab.evaluate("() => document.querySelector('dialog').contains(document.activeElement)")
    tab.keyboard.press("Escape")
    tab.wait_for_selector("dialog.mmfuse-large", state="detached")
    assert "mmfuse-enlarge" in focused(tab)["name"]
    folds = tab.locator(".bd-article summary")
    for kind in ("details.hide", "details:not([class])", "details.mmfuse-deeper"):
        details = tab.locator(f".bd-article {kind}").first
        details.locator("summary").first.focus()
        tab.keyboard.press("Enter")
        assert details.evaluate("details => details.open"), kind
    assert folds.count() > 10


def live_pages():
    """(page, part) of every interactive part of the site."""
    return [(page, name) for page in site_pages()
            for name in re.findall(r'data-live="([\w-]+)"',
                                   (SITE / page).read_text(encoding="utf8"))]


@pytest.mark.parametrize(("page", "part"), live_pages())
def test_what_can_be_tried_is_reached_and_seen_by_keyboard(page, part, address, open_page):
    tab = open_page(f"{address}/{page}")
    first = tab.locator(f"[data-live={part}] :is(input, button, select, textarea, canvas)").first
    first.wait_for(timeout=15000)
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")     # past the menu
    found = tab_to(tab, lambda focus: focus["inside"] == part, most=150)
    assert is_visible(found), found
    controls = tab.locator(f"[data-live={part}] :is(input, select, textarea):visible").all()
    unnamed = [control.evaluate("control => control.outerHTML") for control in controls
               if not control.evaluate("control => control.labels?.length || control.ariaLabel")]
    assert unnamed == []


# What moves

def pictures(page):
    """(tag, bytes) of every picture of a page; drawings in SVG are not looked into."""
    soup = BeautifulSoup((SITE / page).read_text(encoding="utf8"), "html.parser")
    for tag in soup.find_all(["img", "source"]):
        address = tag.get("src") or (tag.get("srcset") or "").split()[0]
        if address.startswith("data:"):
            head, _, body = address.partition(",")
            if "svg" not in head:
                yield tag, base64.b64decode(body)
        elif not address.split("?")[0].endswith(".svg"):
            yield tag, ((SITE / page).parent / address).resolve().read_bytes()


def frames(content):
    try:
        return getattr(Image.open(io.BytesIO(content)), "n_frames", 1)
    except UnidentifiedImageError:
        return 1


def clips_without_control(page, found):
    """What moves and cannot be stopped, or has no caption: pictures, and videos."""
    wrong = [str(tag)[:160] for tag, content in found if frames(content) > 1]
    soup = BeautifulSoup((SITE / page).read_text(encoding="utf8"), "html.parser")
    for video in soup.find_all("video"):
        figure = video.find_parent("figure")
        if (video.get("controls") is None or video.get("autoplay") is not None
                or figure is None or figure.find("figcaption") is None):
            wrong.append(str(video)[:160])
    return wrong


@every_page
def test_a_clip_has_controls_and_a_caption(page):
    assert clips_without_control(page, pictures(page)) == []
    assert BeautifulSoup((SITE / page).read_text(encoding="utf8"), "html.parser").find(
        ["marquee", "blink"]) is None


def test_a_picture_that_moves_is_found(tmp_path):
    first, second = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))
    for kind in ("gif", "webp", "png"):
        path = Path(tmp_path, f"clip.{kind}")
        first.save(path, save_all=True, append_images=[second])
        assert frames(path.read_bytes()) == 2
        first.save(path)
        assert frames(path.read_bytes()) == 1


@pytest.mark.parametrize("page", sorted({"index.html", CHAPTER, *(page for page, _ in
                                                                  live_pages())}))
def test_nothing_moves_by_itself_with_reduced_motion(page, address, open_page):
    tab = open_page(f"{address}/{page}", reduced_motion="reduce")
    tab.wait_for_timeout(500)
    assert tab.evaluate(RUNNING) == []
    assert tab.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
