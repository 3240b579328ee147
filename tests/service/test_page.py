"""The service's page in a real browser: searching in every way, by every means, and its manners."""

import json
import re
import socket
import threading
import time
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from PIL import Image
from playwright.sync_api import expect

from mmfuse_utils.data.sources import Source, fetched

uvicorn = pytest.importorskip("uvicorn", reason="optional: the extra `service` is not here")

AXE = Source(
    "axe-core", "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37Ogud"
    "VGtQ==", 708405, "MPL-2.0", "Deque Systems", "Rules of accessibility for the tests")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
HOSTILE = '<img src=x onerror="document.title=1">'
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
# Places that a person can be led to: nothing asked, an answer, an example, a mistake.
PLACES = {"start": "/", "words": "/?q=red+apple+flurble", "unknown": "/?q=flurble",
          "example": "/?like=1F34E", "mistake": "/?like=nowhere"}
SMALL_TARGETS = """smallest => [...document.querySelectorAll("a, button, input, select")].filter(
  target => { const box = target.getBoundingClientRect();
    return target.checkVisibility() && !target.matches(".skip") &&
      Math.min(box.height, box.width) < smallest - 0.5; }).map(target => target.outerHTML)"""
# What a screen reader is told: every text that the live region has held.
LISTEN = """() => { window.told = [];
  new MutationObserver(() => window.told.push(document.getElementById("status").textContent))
    .observe(document.getElementById("status"), {childList: true, subtree: true}); }"""
GIVE = """([way, bytes]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([new Uint8Array(bytes)], "mine.png", {type: "image/png"}));
  const event = way === "drop" ? new DragEvent("drop", {dataTransfer: carried, bubbles: true,
      cancelable: true}) : new ClipboardEvent("paste", {clipboardData: carried, bubbles: true});
  document.body.dispatchEvent(event);
}"""


def picture(color=(220, 40, 40)):
    """The bytes of a small PNG file."""
    file = BytesIO()
    Image.new("RGB", (60, 40), color).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def address():
    """Where the service with the emoji answers, on this machine."""
    from mmfuse_utils.service.app import create_app
    from mmfuse_utils.service.kept import emoji_artefact
    from mmfuse_utils.service.searcher import Searcher
    from mmfuse_utils.service.settings import Settings

    app = create_app(Searcher(emoji_artefact()), Settings())
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        running.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        for _ in range(600):        # until the networks are loaded
            if httpx.get(f"{address}/readyz").status_code == 200:
                break
            time.sleep(0.1)
        yield address
        server.should_exit = True
        running.join()


@pytest.fixture
def open_page(browser, address):
    """Open a path of the service; afterwards nothing was asked of others, nothing complained of.

    A refused request is an error in the console: a test that wants one names its status.
    """
    complaints, contexts = [], []

    def start(path="/", width=1280, refused=(), **settings):
        def note(message):
            expected = any(f"status of {status}" in message.text for status in refused)
            if message.type == "error" and not expected:
                complaints.append(message.text)

        def note_request(request):
            if not request.url.startswith((address, "blob:")):
                complaints.append(f"outside request: {request.url}")

        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
        page.on("request", note_request)
        page.goto(address + path, wait_until="load")
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def settled(page):
    """Wait until the page has answered what its address asks."""
    page.wait_for_function("""() => !document.querySelector("[aria-busy]") && (
        document.querySelector("#hits li, #error p") ||
        document.getElementById("welcome").checkVisibility())""")
    return page


def asked(page):
    """What the address asks, as a dictionary."""
    return {key: value for key, (value,) in parse_qs(urlsplit(page.url).query).items()}


def titles(page):
    return page.locator("#hits h3").all_inner_texts()


def type_query(page, words):
    page.get_by_label("Search for").fill(words)
    page.keyboard.press("Enter")
    page.wait_for_function("words => new URLSearchParams(location.search).get('q') === words",
                           arg=words)
    return settled(page)


def answer_with(page, *answers, path="**/v1/search?*"):
    """In place of the service: answers in turn, then the service's own."""
    waiting = list(answers)

    def handle(route):
        if not waiting:
            return route.continue_()
        return route.fulfill(**waiting.pop(0))

    page.route(path, handle)
    return waiting


def problem(status, detail, **headers):
    body = {"title": "Refused", "status": status, "detail": detail, "instance": "request-17"}
    return {"status": status, "body": json.dumps(body), "headers": headers,
            "content_type": "application/problem+json"}


def hit(**change):
    return {"rank": 1, "id": "1F34E", "score": 0.5, "title": "red apple", "group": "food-drink",
            "credit": "by somebody", "picture": "/v1/pictures/1F34E",
            "word": {"text": "apple", "share": 0.75}, **change}


def answer(*hits, **query):
    query = {"kind": "phrase", "known": ["apple"], "unknown": [], **query}
    return {"body": json.dumps({"query": query, "method": "a method", "hits": hits}),
            "content_type": "application/json"}


# Searching

def test_a_phrase_is_searched(open_page):
    page = type_query(open_page(), "red apple")
    assert len(titles(page)) == 12 and "red apple" in titles(page)[:3]
    assert page.locator("#status").inner_text() == "12 pictures for red apple"
    assert page.locator(".score").first.inner_text().startswith("score")
    shown = page.evaluate("""() => [...document.querySelectorAll("#hits li")].map(hit => [
        Number(hit.querySelector(".score").textContent.replace("score ", "")),
        hit.querySelector(".bar i").getBoundingClientRect().width /
          hit.querySelector(".bar").getBoundingClientRect().width])""")
    assert [score for score, _ in shown] == sorted((s for s, _ in shown), reverse=True)
    assert all(abs(max(score, 0) - bar) < 0.03 for score, bar in shown)
    words = page.locator("#hits li p:has-text('owes most to') b").all_inner_texts()
    assert len(words) == 12 and set(words) <= {"red", "apple"}
    assert all(len(credit) > 3 for credit in page.locator(".credit").all_inner_texts())
    assert len(page.locator("#method").inner_text()) > 20
    assert page.locator("#hits img").first.evaluate("async picture => { await picture.decode(); "
                                                    "return picture.naturalWidth > 8; }")


def test_unknown_words_are_named(open_page):
    page = type_query(open_page(), "red flurble apple blarg")
    assert page.locator("#status").inner_text().splitlines() == [
        "12 pictures for red apple", "not known: flurble, blarg"]
    page = type_query(page, "flurble")
    assert page.locator("#status").inner_text().splitlines() == [
        "None of these words is known.", "not known: flurble"]
    assert titles(page) == [] and page.locator("#welcome").is_visible()


def test_a_group_narrows_the_search(open_page):
    page = type_query(open_page(), "water")
    everywhere = titles(page)
    with page.expect_response(re.compile(r"/v1/search\?.*group=food-drink")) as response:
        page.get_by_label("In", exact=True).select_option("food and drink")
    settled(page)
    assert {one["group"] for one in response.value.json()["hits"]} == {"food-drink"}
    assert titles(page) != everywhere and "in food and drink" in page.inner_text("#status")
    assert asked(page) == {"q": "water", "group": "food-drink"}
    assert page.reload() and titles(settled(page)) != everywhere
    assert page.get_by_label("In", exact=True).input_value() == "food-drink"


@pytest.mark.parametrize("way", ["button", "drop", "paste"])
def test_a_picture_is_searched(way, open_page):
    page = settled(open_page())
    if way == "button":
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Search by a picture").click()
        chooser.value.set_files({"name": "mine.png", "mimeType": "image/png",
                                 "buffer": picture()})
    else:
        page.evaluate(GIVE, [way, list(picture())])
    page.locator("#hits li").first.wait_for()
    assert page.inner_text("#status") == "12 pictures like your picture"
    assert page.inner_text("#name") == "mine.png" and page.locator("#preview").is_visible()
    middle = "canvas => [...canvas.getContext('2d').getImageData(48, 48, 1, 1).data]"
    assert page.locator("#preview").evaluate(middle) == [220, 40, 40, 255]
    page.get_by_role("button", name="Remove").click()
    assert titles(page) == [] and not page.locator("#example").is_visible()


def test_a_hit_is_the_next_example(open_page):
    page = type_query(open_page(), "red apple")
    first = titles(page)[0]
    page.get_by_role("link", name=re.compile(f"More like this.*{first}")).first.click()
    expect(page.locator("#status")).to_contain_text(f"12 pictures like {first}")
    assert asked(page)["like"] not in page.evaluate(
        "[...document.querySelectorAll('#hits a')].map("
        "link => new URL(link.href).searchParams.get('like'))")
    assert page.evaluate("document.activeElement.textContent") == "Results"
    before = titles(page)
    assert page.reload() and titles(settled(page)) == before
    page.go_back()
    expect(page.locator("#status")).to_have_text("12 pictures for red apple")


def test_back_and_forward_lead_through_what_was_asked(open_page):
    page = settled(open_page())
    type_query(page, "red apple")
    page.evaluate(GIVE, ["drop", list(picture())])
    expect(page.locator("#status")).to_contain_text("your picture")
    found = titles(page)
    type_query(page, "ship")
    page.go_back()
    expect(page.locator("#status")).to_contain_text("your picture")
    assert titles(page) == found
    page.go_back()
    expect(page.locator("#status")).to_have_text("12 pictures for red apple")
    assert page.get_by_label("Search for").input_value() == "red apple"
    page.go_back()
    expect(page.locator("#welcome")).to_be_visible()
    page.go_forward()
    expect(page.locator("#status")).to_have_text("12 pictures for red apple")


def test_the_groups_of_a_folder_keep_their_names(open_page):
    page = settled(open_page())
    served = page.request.get(page.url + "v1/artefact").json() | {
        "source": "folder", "groups": ["my-trip", "at-home"], "examples": []}
    page.route("**/v1/artefact", lambda route: route.fulfill(
        body=json.dumps(served), content_type="application/json"))
    page.reload()
    expect(page.locator("#group option")).to_have_text(["all groups", "my-trip", "at-home"])
    assert "the folder" in page.inner_text("#about") and not page.locator("#examples a").count()


def test_more_pictures_are_had_by_a_button(open_page):
    page = type_query(open_page(), "animal")
    first = titles(page)
    page.get_by_role("button", name="More pictures").click()
    expect(page.locator("#hits li")).to_have_count(36)
    assert titles(page)[:12] == first and asked(page)["k"] == "36"
    assert page.evaluate("document.activeElement.closest('li') === "
                         "document.querySelectorAll('#hits li')[12]")


def test_an_example_is_one_click_away(open_page):
    page = settled(open_page())
    link = page.locator("#examples a").first
    assert link.locator("img").evaluate("one => one.decode().then(() => one.alt)") == ""
    phrase = link.inner_text().strip()
    link.click()
    expect(page.locator("#status")).to_contain_text("pictures for")
    assert asked(page) == {"q": phrase} and len(titles(page)) == 12


# What goes wrong

def test_a_busy_service_is_asked_once_more(open_page):
    page = settled(open_page(refused=[503]))
    waiting = answer_with(page, problem(503, "Too much to do.", **{"Retry-After": "1"}))
    type_query(page, "red apple")
    assert waiting == [] and len(titles(page)) == 12


def test_a_service_that_stays_busy_says_so_and_can_be_asked_again(open_page):
    page = settled(open_page(refused=[503]))
    busy = problem(503, "The service has too much to do. Try again in a second.",
                   **{"Retry-After": "1"})
    waiting = answer_with(page, busy, busy)
    type_query(page, "red apple")
    assert waiting == []
    assert page.locator("#error p").all_inner_texts() == [
        "The service has too much to do. Try again in a second.", "Request request-17"]
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#hits li")).to_have_count(12)
    assert page.locator("#error p").count() == 0


def test_a_problem_is_told_in_the_words_of_the_service(open_page):
    page = settled(open_page(refused=[422]))
    answer_with(page, problem(422, HOSTILE))
    type_query(page, "red apple")
    assert page.locator("#error p").first.inner_text() == HOSTILE
    assert page.get_by_role("alert").inner_text().startswith(HOSTILE)


def test_what_is_no_picture_is_refused_in_words(open_page):
    page = settled(open_page(refused=[415, 422]))
    page.locator("#file").set_input_files({"name": "note.png", "mimeType": "image/png",
                                           "buffer": b"these are words"})
    page.locator("#error p").first.wait_for()
    told = page.locator("#error p").first.inner_text()
    assert "picture" in told and len(told.split()) > 4
    assert re.search(r"^Request \S{6,}$", page.locator("#error .request").inner_text())


def test_a_picture_too_large_is_not_even_sent(open_page):
    page = settled(open_page())
    page.route("**/v1/search/picture*", lambda route: pytest.fail("it was sent"))
    page.evaluate(GIVE, ["drop", 10_400_000])       # so many bytes
    expect(page.locator("#error p").first).to_have_text(
        "This picture has 10.4 MB; at most 10 MB are taken. Make it smaller and give it again.")


def test_a_service_that_is_gone_is_said_to_be_gone(open_page):
    page = settled(open_page())
    page.route("**/v1/search?*", lambda route: route.fulfill(status=200, body="{"))
    type_query(page, "red apple")
    assert "does not answer" in page.locator("#error p").first.inner_text()


def test_nothing_that_comes_from_outside_becomes_html(open_page):
    page = settled(open_page())
    answer_with(page, answer(hit(title=HOSTILE, credit=HOSTILE, group=HOSTILE,
                                 word={"text": HOSTILE, "share": 0.5}),
                             known=["apple", HOSTILE], unknown=[HOSTILE]))
    type_query(page, HOSTILE)
    assert titles(page) == [HOSTILE] and page.inner_text(".credit") == HOSTILE
    assert page.locator("#hits img").get_attribute("alt") == HOSTILE
    assert page.inner_text("#status").count(HOSTILE) == 2
    assert page.locator("img[src=x], [onerror]").count() == 0


def test_the_page_allows_only_what_is_its_own(open_page, address):
    page = open_page()
    policy = page.request.get(address).headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert page.locator("[style], [onclick], script:not([src]), style").count() == 0


# For everybody

def test_everything_is_done_by_the_keyboard_alone(open_page):
    page = settled(open_page())
    page.keyboard.press("/")
    page.keyboard.type("red apple")
    page.keyboard.press("Enter")
    page.locator("#hits li").first.wait_for()
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.slice(0, 14)"))
        assert page.evaluate("""() => { const style = getComputedStyle(document.activeElement);
            return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2; }""")
    assert reached[1:4] == ["Search", "Search by a pi", "More like this"]
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("pictures like")
    page.keyboard.press("Escape")
    expect(page.locator("#welcome")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("1/2")
    assert page.get_by_label("Search for").input_value() == "1/2"


def test_a_screen_reader_is_told_the_answer_once(open_page):
    page = settled(open_page())
    page.evaluate(LISTEN)
    type_query(page, "red apple")
    assert page.evaluate("window.told") == ["12 pictures for red apple"]
    assert page.get_by_role("search").count() == page.get_by_role("main").count() == 1
    assert page.get_by_role("list", name="Pictures, best first").get_by_role("listitem").count() \
        == 12
    alternatives = page.locator("#hits img").evaluate_all("all => all.map(one => one.alt)")
    assert alternatives == titles(page)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_rules_of_accessibility_are_kept(scheme, open_page):
    script = (fetched(AXE) / "package" / "axe.min.js").read_text(encoding="utf8")
    page = open_page(color_scheme=scheme, refused=[404, 422], reduced_motion="reduce")
    found = {}
    for name, place in PLACES.items():
        page.goto(urlsplit(page.url)._replace(path="", query="").geturl() + place)
        settled(page).evaluate(script)
        result = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
        found[name] = [(one["id"], one["nodes"][0]["html"]) for one in result["violations"]]
        assert len(result["passes"]) > 20
    assert found == dict.fromkeys(PLACES, [])


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_and_everything_can_be_hit(width, open_page):
    page = open_page(width=width, refused=[404, 422], has_touch=width == 390)
    for place in (*PLACES.values(), "/?q=red+" + "a" * 400):
        page.goto(urlsplit(page.url)._replace(path="", query="").geturl() + place)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(SMALL_TARGETS, 44 if width == 390 else 24) == []


def test_dark_is_dark_and_light_is_light(open_page):
    def brightness(scheme):
        color = open_page(color_scheme=scheme).evaluate(
            "getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, re.findall(r"\d+", color)[:3])) / 765

    assert brightness("light") > 0.95 and brightness("dark") < 0.15


def test_nothing_moves_for_who_wants_no_movement(open_page):
    page = type_query(open_page(reduced_motion="reduce"), "red apple")
    assert page.evaluate("document.getAnimations().length") == 0
    durations = "[...document.querySelectorAll('*')].map(one => getComputedStyle(one)).filter(" \
        "style => style.animationName !== 'none' || parseFloat(style.transitionDuration) > 0)"
    assert page.evaluate(f"{durations}.length") == 0
