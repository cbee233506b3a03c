import base64
import json
import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason='needs ".[browser]"')
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
ui = pytest.importorskip("selenium.webdriver.support.ui")
Select, WebDriverWait = ui.Select, ui.WebDriverWait
Stale = pytest.importorskip("selenium.common.exceptions").StaleElementReferenceException

BARS = """
const parts = (bar) => [...bar.querySelectorAll(":scope > :not(.zero)")];
const box = (part) => part.getBoundingClientRect().toJSON();
return [...document.querySelectorAll(".split")].map((bar) => parts(bar).map(box));
"""
MINUS = "\N{MINUS SIGN}"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


class Page:
    """The page in a browser, by what a person sees of it."""

    def __init__(self, driver, address, screenshots):
        self.driver, self.address, self._screenshots = driver, address, screenshots
        # An answer may be drawn anew while it is read.
        self._wait = WebDriverWait(driver, 20, ignored_exceptions=[Stale])

    def open(self, model="shop"):
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(self.address)
        self.until(lambda: self.all("#form .main") and self.all("#main:not([aria-busy])"))
        if model != "shop":
            self.choose("model", model)
        return self

    def all(self, css):
        return [one for one in self.driver.find_elements(By.CSS_SELECTOR, css)]

    def texts(self, css):
        return [one.text for one in self.all(css)]

    def until(self, condition):
        return self._wait.until(lambda _: condition())

    def field(self, label):
        path = f"//label[normalize-space()='{label}']"
        found = self.driver.find_element(By.XPATH, path).get_attribute("for")
        return self.driver.find_element(By.ID, found)

    def choose(self, select, text):
        Select(self.driver.find_element(By.ID, select)).select_by_visible_text(text)
        self.until(lambda: self.all("#main:not([aria-busy])"))

    def type(self, label, text):
        field = self.field(label)
        field.clear()
        field.send_keys(text)
        return field

    def press(self, name="Recommend"):
        self.driver.execute_script("document.querySelector('#answers').replaceChildren()")
        self.driver.find_element(By.XPATH, f"//button[normalize-space()='{name}']").click()
        self.until(lambda: self.all("#answers article"))

    def suggestions(self, label, text):
        field = self.type(label, text)
        self.until(lambda: any(one.is_displayed() for one in self.all(".suggestions li")))
        return field

    def screenshot(self, name):
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        taken = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        (self._screenshots / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))

    def console(self):
        return [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def hosts(self):
        """Whom the page asked since it was opened."""
        found = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = urlsplit(message["params"]["request"]["url"])
                if address.scheme != "data":
                    found.add(address.netloc)
        return found


@pytest.fixture(scope="module")
def driver():
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if browser is None or chromedriver is None:
        pytest.skip("chromium and chromedriver are not there (Debian: chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.add_argument("--headless=new")
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument("--window-size=1280,1000")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory):
    """They go to TFREC_FUSION_SCREENSHOTS, if that is set."""
    folder = os.environ.get("TFREC_FUSION_SCREENSHOTS")
    folder = Path(folder) if folder else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def page(driver, page_address, screenshots):
    return Page(driver, page_address, screenshots)


@pytest.fixture(autouse=True)
def nothing_wrong(page):
    """No error in the console, and nobody else was asked."""
    yield
    assert page.console() == []
    assert page.hosts() <= {urlsplit(page.address).netloc}


def test_start(page):
    page.open()
    assert page.driver.title == "tfrec-fusion"
    assert Select(page.all("#version")[0]).first_selected_option.text == "2 (canary)"
    assert page.texts(".empty h2") == ["See what this version recommends"]
    assert page.hosts() == {urlsplit(page.address).netloc}
    for control in page.all("input, select, button"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    page.screenshot("start")


def test_a_known_user(page, events):
    page.open()
    user = page.texts(".examples button")[0]
    page.all(".examples button")[0].click()
    page.until(lambda: page.all(".items li"))
    assert page.field("User").get_attribute("value") == user
    assert len(page.all(".items li")) == 10
    assert page.texts(".badge") == ["known user"]
    assert all(text.startswith("Thing №") or "<img" in text for text in page.texts(".title"))
    seen = events.catalogue.titles[events.item[events.users.ids[events.user] == user]]
    assert not set(page.texts(".title")) & set(seen)
    page.screenshot("known-user")


@pytest.mark.slow
def test_what_scores_are_made_of(page):
    page.open()
    page.all(".examples button")[0].click()
    page.until(lambda: page.all(".items .split"))
    names = ["ids", "text", "context", "base"]
    assert [text.split()[0] for text in page.texts(".made-of li")] == [*names, "rules"]
    boosts = 0
    bars = page.driver.execute_script(BARS)
    assert len(bars) == 10
    for text, score, parts in zip(page.texts(".amounts"), page.texts(".score"), bars, strict=True):
        found = dict(line.rsplit(" ", 1) for line in text.replace(MINUS, "-").split("\n"))
        amounts = [float(number) for number in found.values()]
        boosts += found.pop("rules", "+0") == "+0.693"
        assert list(found) == names
        assert sum(amounts) == pytest.approx(float(score), abs=0.003)
        # Parts have their share's length on one scale and its side, and do not overlap.
        lengths = [part["right"] - part["left"] for part in parts]
        scale = sum(lengths) / sum(map(abs, amounts))
        assert lengths == pytest.approx([abs(amount) * scale for amount in amounts], abs=1)
        zero = min((p["left"] for p, a in zip(parts, amounts, strict=True) if a > 0), default=None)
        for part, amount in zip(parts, amounts, strict=True):
            if zero is not None and amount < -0.01:
                assert part["right"] <= zero + 1
    assert 0 < boosts < 10
    assert not page.all("#shares summary")
    page.screenshot("shares")
    page.choose("other", "1 (stable)")
    page.until(lambda: page.all("#shares summary"))
    page.all("#shares summary")[0].click()
    assert page.texts("#shares p")[0].startswith("Version 1 (stable): exported without")
    assert page.texts("#shares code")[0] == "tfrec-fusion export RUN --to DIR --explain"
    page.screenshot("shares-of-one")


@pytest.mark.slow
def test_a_cold_user_with_a_history_by_keyboard(page):
    page.open()
    page.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Skip to the content"
    field = page.suggestions("History", "thing № 7")
    assert field.get_attribute("aria-expanded") == "true"
    page.screenshot("suggestions")
    field.send_keys(Keys.ARROW_DOWN)
    option = page.driver.find_element(By.ID, field.get_attribute("aria-activedescendant"))
    assert option.text.startswith("Thing № 7")
    field.send_keys(Keys.ENTER)
    assert page.texts(".chips li span") == ["Thing № 7"]
    field.send_keys("no such item", Keys.ENTER, Keys.ESCAPE)
    assert field.get_attribute("aria-expanded") == "false"
    page.type("User", "someone new").send_keys(Keys.ENTER)
    page.until(lambda: page.all(".items li"))
    assert page.texts(".badge") == ["unknown user"]
    assert "from the history given here" in page.texts(".facts")[0]
    assert "1 id of history not in the catalogue: no such item" in page.texts(".note")[0]
    assert "Thing № 7" not in page.texts(".title")
    page.screenshot("cold-user")
    field = page.field("History")
    field.send_keys(Keys.BACKSPACE)
    assert page.texts(".chips li span") == ["Thing № 7"]


@pytest.mark.slow
def test_a_filter(page, shop_items):
    page.open()
    page.driver.find_element(By.XPATH, "//summary[.='Filters and exclusions']").click()
    field = page.suggestions("Category", "käse")
    field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    page.field("In stock").click()
    page.type("How many", "30")
    page.press()
    passes = (shop_items["category"] == "käse & co") & shop_items["in_stock"]
    assert set(page.texts(".items .title")) == set(shop_items["title"][passes])
    assert page.texts(".note") == [
        f"Only {passes.sum()} of 30: filters and exclusions leave no more."
    ]
    page.screenshot("filter")
    page.type("Price max", "0.5")
    page.press()
    assert page.texts(".nothing")[0].startswith("No items")


@pytest.mark.slow
def test_the_answer_names_its_user_and_clear_takes_all_away(page):
    page.open()
    page.type("User", "someone new").send_keys(Keys.ENTER)
    page.until(lambda: page.all(".items li"))
    assert page.texts(".facts .user") == ["For user someone new"]
    field = page.suggestions("History", "thing № 7")
    field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    page.driver.find_element(By.XPATH, "//summary[.='Filters and exclusions']").click()
    page.field("In stock").click()
    page.type("Price max", "2.5")
    page.type("How many", "3")
    page.press()
    assert "." in urlsplit(page.driver.current_url).fragment
    page.driver.find_element(By.XPATH, "//button[.='Clear']").click()
    assert page.field("User").get_attribute("value") == ""
    assert page.field("How many").get_attribute("value") == "10"
    assert page.field("Price max").get_attribute("value") == ""
    assert not page.field("In stock").is_selected()
    assert not page.all(".chips li")
    assert not page.all("#answers article")
    assert page.texts(".empty h2") == ["See what this version recommends"]
    assert urlsplit(page.driver.current_url).fragment == ""
    page.press()
    assert page.texts(".facts .user") == ["For no particular user"]
    assert len(page.all(".items li")) == 10


@pytest.mark.slow
def test_suggestions_close_after_a_choice_and_never_cover_the_button(page):
    page.open()
    page.driver.find_element(By.XPATH, "//summary[.='Filters and exclusions']").click()
    button = page.driver.find_element(By.XPATH, "//button[.='Recommend']")
    for label, text in (("History", "thing"), ("Leave out", "thing"), ("Only these", "thing")):
        page.driver.execute_script("scrollTo(0, 0)")
        page.suggestions(label, text)
        (box,) = [one for one in page.all(".suggestions") if one.is_displayed()]
        assert box.rect["height"] > 90
        assert (
            box.rect["y"] + box.rect["height"] <= button.rect["y"]
            or box.rect["y"] >= button.rect["y"] + button.rect["height"]
        )
        assert box.rect["y"] >= 0
        page.screenshot(f"suggestions-{label.lower().replace(' ', '-')}")
        before = len(page.all(".chips li"))
        box.find_elements(By.TAG_NAME, "li")[0].click()
        page.until(lambda before=before: len(page.all(".chips li")) == before + 1)
        assert not [one for one in page.all(".suggestions") if one.is_displayed()]
    # Also not after the pause in which the server is asked for what was typed.
    asked = (
        "return performance.getEntriesByType('resource').filter(r => r.name.includes('q=')).length"
    )
    count = page.driver.execute_script(asked)
    button.click()
    page.until(lambda: page.all("#answers article"))
    assert page.driver.execute_script(asked) == count
    assert not [one for one in page.all(".suggestions") if one.is_displayed()]


@pytest.mark.slow
def test_long_filter_values_wrap(page, shop_items):
    long = "a very long value of a filter that goes on and on, " * 5 + "x" * 100
    page.open()
    page.driver.find_element(By.XPATH, "//summary[.='Filters and exclusions']").click()
    page.type("Category", long).send_keys(Keys.ENTER)
    (chip,) = page.all(".chips li")
    (text,) = chip.find_elements(By.TAG_NAME, "span")
    assert text.text == long
    inner = "return [arguments[0].scrollWidth, arguments[0].clientWidth]"
    scroll, width = page.driver.execute_script(inner, text)
    assert scroll <= width
    assert text.rect["height"] > 60
    form = page.all("#form")[0].rect
    assert chip.rect["x"] + chip.rect["width"] <= form["x"] + form["width"]
    page.screenshot("long-filter")


@pytest.mark.slow
def test_the_address_holds_the_question(page, shop_items):
    page.open()
    page.choose("other", "1 (stable)")
    page.type("User", "ü & some#one").send_keys(Keys.TAB)
    field = page.suggestions("History", "thing № 7")
    field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    page.driver.find_element(By.XPATH, "//summary[.='Filters and exclusions']").click()
    page.field("In stock").click()
    page.type("How many", "4")
    page.press()
    Select(page.all("#column")[0]).select_by_visible_text("category")
    asked, answer = page.driver.current_url, page.texts(".title")
    assert len(answer) == 8
    # Another person opens it.
    page.driver.get("about:blank")
    page.driver.get(asked)
    page.until(lambda: len(page.all(".items li")) == 8)
    assert page.texts(".title") == answer
    assert page.texts("article h2") == ["Version 2 (canary)", "Version 1 (stable)"]
    assert page.field("User").get_attribute("value") == "ü & some#one"
    assert page.field("In stock").get_attribute("checked") == "true"
    page.until(lambda: page.texts(".chips li span") == ["Thing № 7"])
    assert Select(page.all("#column")[0]).first_selected_option.text == "category"
    # Back and forth, and a reload.
    page.type("User", "another").send_keys(Keys.ENTER)
    page.until(lambda: "For user another" in page.texts(".facts .user"))
    page.driver.back()
    page.until(lambda: page.texts(".facts .user") == ["For user ü & some#one"] * 2)
    assert page.driver.current_url == asked
    assert page.texts(".title") == answer
    page.driver.forward()
    page.until(lambda: page.texts(".facts .user") == ["For user another"] * 2)
    page.driver.refresh()
    page.until(lambda: page.texts(".facts .user") == ["For user another"] * 2)
    # A version that is gone.
    page.driver.get("about:blank")
    page.driver.get(page.address + "#model=shop&version=7&.k=2")
    page.until(lambda: len(page.all(".items li")) == 2)
    assert page.texts("#status") == [
        "Version 7 in the address is not loaded; this is another version."
    ]
    page.driver.get("about:blank")
    page.driver.get(page.address + "#model=gone&version=7")
    page.until(lambda: page.texts("#trouble")[0].startswith("The model gone in the address"))
    assert page.field("User").is_displayed()


@pytest.mark.slow
def test_a_column_beside_the_titles(page, shop_items):
    page.open()
    page.press()
    assert not page.all(".beside")
    names = [option.text for option in Select(page.all("#column")[0]).options]
    assert names == ["nothing", "category", "price", "in stock"]
    of = dict(zip(shop_items["title"], shop_items["category"], strict=True))
    Select(page.all("#column")[0]).select_by_visible_text("category")
    assert page.texts(".beside") == [of[title] for title in page.texts(".title")]
    page.screenshot("column")


@pytest.mark.slow
def test_shares_can_be_folded_away(page):
    page.open()
    page.choose("other", "1 (stable)")
    page.press()
    seen = lambda css: [one for one in page.all(css) if one.is_displayed()]  # noqa: E731
    assert len(seen(".split")) == 10
    assert not seen("article.a .bar")
    page.driver.find_element(By.CSS_SELECTOR, ".fold summary").click()
    page.until(lambda: not seen(".split"))
    assert not seen(".amounts")
    assert len(seen("article.a .bar")) == 10
    page.screenshot("folded")
    # The next answer stays so.
    page.press()
    page.until(lambda: page.all("article.a .items li"))
    assert not seen(".split")
    page.driver.find_element(By.CSS_SELECTOR, ".fold summary").click()
    page.until(lambda: len(seen(".split")) == 10)


@pytest.mark.slow
def test_nothing_to_compare_with(page):
    page.open()
    assert page.all("#other")[0].is_displayed()
    page.choose("model", "rank")
    assert not page.all("#other")[0].is_displayed()
    assert not page.all("#column")[0].is_displayed()


@pytest.mark.slow
def test_titles_are_never_markup(page, shop_items):
    page.open()
    field = page.suggestions("History", "onerror")
    field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    assert page.texts(".chips li span") == [shop_items["title"][5]]
    assert not page.all("#form img")


@pytest.mark.slow
def test_an_error(page):
    page.open()
    page.type("How many", "5000")
    page.press()
    assert page.texts("article .trouble") == ["k must be at most 1000. Received: 5000"]
    page.screenshot("error")
    # Chromium itself writes a line for each answer that is not a 200.
    (line,) = page.console()
    assert line["source"] == "network" and "400" in line["message"]


@pytest.fixture
def closed(driver, closed_address, screenshots):
    """The page of a server with a key, and its keys, of which the last one counts."""
    address, keys = closed_address
    page = Page(driver, address, screenshots)
    page.driver.get(address)
    page.until(lambda: page.field("API key").is_displayed())
    yield page, keys
    # Chromium itself writes a line for each 401.
    for line in page.console():
        assert line["source"] == "network" and "401" in line["message"]
    assert page.hosts() == {urlsplit(address).netloc}


@pytest.mark.slow
def test_the_key_of_a_server(closed):
    page, (key,) = closed
    field = page.driver.switch_to.active_element
    assert (field.accessible_name, field.get_attribute("type")) == ("API key", "password")
    assert not page.all("#model option")
    page.screenshot("key")
    for wrong in ("another", "käse"):
        page.type("API key", wrong).send_keys(Keys.ENTER)
        page.until(lambda: page.texts("#key-trouble") == ["The API key is wrong."])
        assert field.get_attribute("aria-invalid") == "true"
        assert page.driver.switch_to.active_element == field
    page.screenshot("key-wrong")
    page.type("API key", key).send_keys(Keys.TAB)
    button = page.driver.switch_to.active_element
    assert button.text == "Use key"
    button.send_keys(Keys.SPACE)
    page.until(lambda: page.all("#form .main") and page.all("#main:not([aria-busy])"))
    assert not field.is_displayed()
    assert page.driver.switch_to.active_element.get_attribute("id") == "main"
    page.all(".examples button")[0].click()
    page.until(lambda: len(page.all(".items li")) == 10)
    kept = "return [localStorage.length, sessionStorage.length, document.cookie, key.value]"
    assert page.driver.execute_script(kept) == [0, 0, "", ""]
    page.driver.refresh()
    page.until(lambda: page.field("API key").is_displayed())


@pytest.mark.slow
def test_a_key_that_changes(closed):
    page, keys = closed
    page.type("API key", keys[-1]).send_keys(Keys.ENTER)
    page.until(lambda: page.all("#form .main") and page.all("#main:not([aria-busy])"))
    keys.append("a new key")
    page.type("User", "someone").send_keys(Keys.ENTER)
    page.until(lambda: page.field("API key").is_displayed())
    assert page.texts("#key-trouble") == [""]
    page.type("API key", keys[-1]).send_keys(Keys.ENTER)
    # What was asked is answered now, and the field from which it was asked has the focus again.
    page.until(lambda: len(page.all(".items li")) == 10)
    assert page.driver.switch_to.active_element == page.field("User")


@pytest.mark.slow
def test_two_versions_side_by_side(page):
    page.open()
    page.choose("other", "1 (stable)")
    # The first version has no filters; what it does not know is not asked of it.
    page.driver.find_element(By.XPATH, "//summary[.='Filters and exclusions']").click()
    page.field("In stock").click()
    page.press()
    assert page.texts("article h2") == ["Version 2 (canary)", "Version 1 (stable)"]
    lists = [
        [one.text for one in column.find_elements(By.CSS_SELECTOR, ".id")]
        for column in page.all("article")
    ]
    both = len(set(lists[0]) & set(lists[1]))
    assert page.texts("#status") == [f"{both} of 10 items in both."]
    assert len(page.all(".move.only")) == 2 * (10 - both)
    page.screenshot("compare")
    page.choose("other", "nothing")
    # What was asked before is asked again.
    page.until(lambda: page.texts("article h2") == ["Version 2 (canary)"])
    assert page.texts("#status") == [""]


@pytest.mark.slow
def test_the_model_card(page):
    page.open()
    page.choose("other", "1 (stable)")
    tab = page.all("#tab-recommend")[0]
    tab.send_keys(Keys.ARROW_RIGHT)
    assert page.all("#tab-model")[0].get_attribute("aria-selected") == "true"
    assert not page.all("#panel-recommend")[0].is_displayed()
    assert page.texts(".card h2") == ["Metrics", "Version 2 (canary)", "Version 1 (stable)"]
    # One bar for each slice of the version that was evaluated; one slice has an interval.
    assert len(page.all(".chart rect")) == 2
    assert len(page.all(".chart .whisker")) == 1
    assert page.texts(".chart .number") == ["0.2", "0.05"]
    page.screenshot("card")
    Select(page.all(".heading select")[0]).select_by_visible_text("recall@20")
    page.until(lambda: page.texts(".chart .number") == ["0.5"])


@pytest.mark.slow
def test_a_ranker(page):
    page.open("rank")
    page.driver.find_element(By.XPATH, "//button[.='Add the 20 most popular']").click()
    page.until(lambda: len(page.all(".chips li")) == 20)
    page.type("Hour", "8")
    page.type("Channel", "web")
    page.press("Score")
    assert len(page.all(".items li")) == 20
    assert page.all(".score")[0].get_attribute("title") == "probability"
    found = [float(text) for text in page.texts(".score")]
    assert found == sorted(found, reverse=True)
    page.screenshot("ranker")


@pytest.mark.slow
def test_a_phone_in_the_dark(page):
    media = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    try:
        page.open()
        page.choose("other", "1 (stable)")
        page.press()
        wide = "return document.documentElement.scrollWidth"
        assert page.driver.execute_script(wide) == PHONE["width"]
        page.screenshot("phone")
        page.all("#tab-model")[0].click()
        assert page.driver.execute_script(wide) == PHONE["width"]
        page.screenshot("phone-card")
        colour = "return getComputedStyle(document.body).backgroundColor"
        assert page.driver.execute_script(colour) == "rgb(16, 19, 24)"
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
