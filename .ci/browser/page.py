"""The page in Chromium, as people use it. Every check is a sentence; the first one that is false ends it."""

import os
import pathlib
import shutil
import sys
import urllib.request

from playwright.sync_api import expect, sync_playwright

from scene import LONG, LONG_DVIPA, Scene
from service import Service
from stacks import Stack

HERE = pathlib.Path(__file__).parent
LOOK = (HERE / "look.js").read_text()
WIDE, NARROW = {"width": 1440, "height": 1000}, {"width": 320, "height": 720}
expect.set_options(timeout=30_000)


def check(sentence, truth, *facts):
    if not truth:
        raise AssertionError(f"not so: {sentence}: {facts}")
    print(f"  ok: {sentence}", flush=True)


def digits(text):
    return int(text.replace(",", ""))


class Watched:
    """A page whose words and requests are kept."""

    def __init__(self, browser, service, **more):
        self.service, self.faults, self.outside = service, [], []
        self.context = browser.new_context(**more)
        page = self.page = self.context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and self.faults.append(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: request.url.startswith(service.url) or self.outside.append(request.url))

    def open(self, path="/"):
        self.page.goto(self.service.url + path)
        expect(self.page.locator("#line")).to_have_attribute("data-state", "live")
        return self.page

    def json(self, path):
        return self.context.request.get(f"{self.service.url}/v1/structures/{self.service.structure}{path}").json()

    def end(self):
        check("nothing was said in the console", not self.faults, self.faults)
        check("nothing was asked of anybody else", not self.outside, self.outside)
        self.context.close()


def cell(page, group):
    return page.locator(f"#g{group}")


def lists_shown(page):
    """The rows of the table of lists: target, stacks, held, quarantine."""
    rows = {}
    for row in page.locator("#lists tbody tr").all():
        words = row.locator("td").all_inner_texts()
        name = row.locator("button").inner_text()
        key = f"{name}/{'udp' if 'UDP' in words[0] else 'tcp'}"
        rows[key] = ("CLOSED" in words[0], *(digits(word) for word in words[1:4]))
    return rows


def lists_of(answer):
    return {
        f"{row['dvipa']}/{row['transport']}": (
            row["state"] == "closed",
            len(row["stacks"]),
            row["held"],
            row["quarantined"],
        )
        for row in answer["lists"]
    }


def contents(watched):
    page = watched.page
    told = watched.json("/lists?limit=1024")
    expect(page.locator("#lists tbody tr")).to_have_count(len(told["lists"]))
    check("the table of lists says what the JSON says", lists_shown(page) == lists_of(told))
    stacks = watched.json("/connectors?limit=1024")["connectors"]
    shown = page.locator("#stacks tbody tr td:first-child").all_inner_texts()
    check("every stack is in the table", sorted(shown) == sorted(row["connector"] for row in stacks), shown)
    check("a stack that failed comes first", shown[0] == "SYS9.TCPIP", shown)
    warnings = page.locator("#warnings li")
    codes = warnings.evaluate_all("all => all.map(one => one.dataset.code)")
    for code in ("exhausted", "failed-persistent", "short-quarantine"):
        check(f"there is a warning of {code}", code in codes, codes)
    check("the gravest warning comes first", warnings.first.get_attribute("data-level") == "critical")


def the_map(watched):
    page = watched.page
    page.locator("#lists-filter").fill("10.20.0.1")
    expect(page.locator("#lists tbody tr")).to_have_count(1)
    page.locator("#lists tbody button").first.click()
    expect(page.locator("#map-title")).to_have_text("10.20.0.1 TCP")
    check("the choice is in the address", page.url.endswith("#EZBEPORT1121/10.20.0.1/tcp"), page.url)
    page.locator("#lists-filter").fill("")
    told = watched.json("/lists/10.20.0.1/tcp/groups?limit=1024")
    expect(page.locator("#map [role=option]")).to_have_count(1024)
    signs = page.locator("#map [role=option]").evaluate_all("all => all.map(one => one.textContent)")
    wanted = [{".": "·", " ": ""}.get(sign, sign) for sign in told["signs"]]
    check("every cell has the sign that `display groups` would print", signs == wanted)
    check("the map has whole, part, shared and quarantined groups", {"whole", "part", "shared", "rest", "free"} <= set(
        page.locator("#map [role=option]").evaluate_all("all => all.map(one => one.dataset.kind)")))
    shared = next(group for group in told["groups"] if len(group["holders"]) > 1)
    resting = next(group for group in told["groups"] if group["quarantine"] and not group["holders"])
    detail = page.locator("#detail")
    cell(page, shared["group"]).hover()
    for holder in shared["holders"]:
        expect(detail).to_contain_text(holder["connector"])
        expect(detail).to_contain_text(str(holder["lsn"]))
    page.mouse.move(5, 5)
    expect(detail).to_contain_text("Point at a group")
    check("what is pointed at goes with the pointer", True)
    cell(page, resting["group"]).click()
    expect(detail).to_contain_text("quarantine")
    left = detail.locator(".count-down").first
    expect(left).to_have_text(__import__("re").compile(r"in \d+:\d\d"))
    before = left.inner_text()
    page.wait_for_function("before => document.querySelector('#detail .count-down').textContent !== before", arg=before)
    check("the countdown of a quarantine runs", True)
    expect(detail).to_contain_text(resting["quarantine"][0]["connector"])
    check("a chosen group is marked", cell(page, resting["group"]).get_attribute("aria-selected") == "true")
    page.keyboard.press("Escape")
    expect(detail).to_contain_text("Point at a group")
    focused = "document.activeElement.id"
    check("Escape closes it, and the focus is on its cell", page.evaluate(focused) == f"g{resting['group']}")
    return told


def keys(watched, told):
    page = watched.page
    cell(page, 0).click()
    page.keyboard.press("Escape")
    columns = page.evaluate("getComputedStyle(document.getElementById('map')).gridTemplateColumns.split(' ').length")
    check("the map has a square or a wide shape", columns in (32, 64), columns)
    for key, place in (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns), ("ArrowUp", 0), ("ArrowUp", 0), ("End", 1023), ("ArrowRight", 1023), ("Home", 0)):
        page.keyboard.press(key)
        check(f"{key} leads to group {place}", page.evaluate("document.activeElement.id") == f"g{place}")
    check("only one cell is a stop of the Tab key", page.locator("#map [tabindex='0']").count() == 1)
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    check("the focus can be seen", outline == "solid", outline)
    held = told["groups"][0]
    for _ in range(held["group"] // columns):
        page.keyboard.press("ArrowDown")
    for _ in range(held["group"] % columns):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#detail h3").first).to_have_text(f"Group {held['group']}")
    page.keyboard.press("Escape")
    page.locator("#port").fill(str(held["first"] + 6))
    page.locator("#port").press("Enter")
    expect(page.locator("#detail .found")).to_contain_text(f"Port {held['first'] + 6} ")
    check("a port is found by its number", True)
    page.locator("#detail .close").click()
    page.locator("#port").fill("70000")
    page.locator("#port").press("Enter")
    check("a number that is no port is said so", page.locator("#port").get_attribute("aria-invalid") == "true")
    page.locator("#port").fill("")


def filters_and_legend(watched):
    page = watched.page
    page.locator("#stacks-filter").fill("failed")
    expect(page.locator("#stacks tbody tr")).to_have_count(1)
    page.locator("#stacks-filter").fill("no such stack")
    expect(page.locator("#stacks-none")).to_be_visible()
    page.locator("#stacks-filter").fill("")
    page.locator("#lists-filter").fill("closed")
    expect(page.locator("#lists tbody tr")).to_have_count(1)
    page.locator("#lists-filter").fill("")
    button = page.locator("#legend button", has_text="SYS2.TCPIP")
    button.click()
    check("one stack's groups stand out", button.get_attribute("aria-pressed") == "true" and page.locator("#map.looking .theirs").count() > 5)
    button.click()
    page.locator("#alternative summary").click()
    rows = page.locator("#groups tbody tr")
    told = watched.json("/lists/10.20.0.1/tcp/groups?limit=1024")
    expect(rows).to_have_count(len(told["groups"]))
    check("the table says what the map says", LONG in page.locator("#groups tbody").inner_text())
    page.locator("#alternative summary").click()


def live(watched, scene):
    page = watched.page
    before = digits(page.locator("#asof").inner_text().split()[-1])
    page.evaluate("window.notReloaded = true")
    grant = scene.three.acquire("10.20.0.1", 1)[0]
    expect(cell(page, grant.group)).to_have_attribute("aria-label", __import__("re").compile("SYS3.TCPIP holds 64 ports"))
    scene.three.release(grant)
    expect(cell(page, grant.group)).to_have_attribute("data-kind", "rest")
    scene.operator.define("10.40.0.1")
    expect(page.locator("#lists tbody")).to_contain_text("10.40.0.1")
    after = digits(page.locator("#asof").inner_text().split()[-1])
    check("changes arrive without a reload", after > before and page.evaluate("window.notReloaded"), before, after)
    # Quarantine ends by itself, and the page shows it.
    member = scene.two.acquire("10.20.0.5", 1)[0]
    scene.two.release(member)
    page.locator("#lists tbody button", has_text="10.20.0.5").first.click()
    expect(cell(page, member.group)).to_have_attribute("data-kind", "rest")
    expect(cell(page, member.group)).to_have_attribute("data-kind", "free", timeout=60_000)
    check("the end of a quarantine arrives", True)
    page.locator("#lists tbody button", has_text="10.20.0.1").first.click()
    expect(page.locator("#map-title")).to_have_text("10.20.0.1 TCP")


def gone_and_back(watched):
    page, service = watched.page, watched.service
    service.kill()
    expect(page.locator("#gone")).to_be_visible()
    expect(page.locator("#line")).to_have_attribute("data-state", "gone")
    check("the page says that the service is gone, and still shows what it knew", page.locator("#lists tbody tr").count() > 100)
    service.start()
    expect(page.locator("#line")).to_have_attribute("data-state", "live", timeout=60_000)
    expect(page.locator("#gone")).to_be_hidden()
    check("it goes on by itself when the service is back", page.evaluate("window.notReloaded"))
    expected = ("Failed to load resource", "ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY")
    watched.faults = [fault for fault in watched.faults if not any(word in fault for word in expected)]


def looked_at(browser, service, shots):
    for scheme in ("light", "dark"):
        for name, size in (("wide", WIDE), ("narrow", NARROW)):
            watched = Watched(browser, service, viewport=size, color_scheme=scheme, has_touch=name == "narrow", reduced_motion="reduce")
            page = watched.open("/#EZBEPORT1121/10.20.0.1/tcp")
            expect(page.locator("#legend button").first).to_be_visible()
            shared = page.locator("#map [data-kind=shared]").first
            shared.tap() if name == "narrow" else shared.click()
            expect(page.locator("#detail.pinned")).to_be_visible()
            page.locator("#alternative summary").click()
            check(f"{scheme} {name}: nothing to find for a careful reader", not (found := page.evaluate(f"({LOOK})()")), found)
            wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            check(f"{scheme} {name}: nothing sticks out", wide[0] <= wide[1], wide)
            moves = page.locator("#map [role=option]").first.evaluate("one => getComputedStyle(one).transitionDuration")
            check(f"{scheme} {name}: nothing moves where that is not wanted", moves == "0s", moves)
            page.locator("#alternative summary").click()
            if name == "narrow":
                page.screenshot(path=shots / f"{scheme}-{name}-group.png")
                page.keyboard.press("Escape")
                small = page.locator("button:visible, select:visible, input:visible").evaluate_all(
                    "all => all.map(one => [one.textContent, one.getBoundingClientRect()]).filter(([, box]) => box.height < 24).map(([text]) => text)")
                check(f"{scheme} {name}: what is touched is 24 px high", not small, small)
            page.screenshot(path=shots / f"{scheme}-{name}.png", full_page=True)
            watched.end()


def empty(browser, work, shots):
    service = Service(work / "empty", "EZBEPORT0202").start()
    try:
        watched = Watched(browser, service, viewport=WIDE)
        page = watched.open()
        expect(page.locator("#empty")).to_be_visible()
        expect(page.locator("#stacks-none")).to_have_text("No stack has connected yet.")
        page.screenshot(path=shots / "empty.png", full_page=True)
        check("an empty structure says what to do", page.locator("#work").is_hidden())
        watched.end()
        check("it ends in order with a page open", service.stop() == 0)
    finally:
        service.kill()


def chosen(browser, work):
    """Two subplexes of one service: each is shown for itself."""
    service = Service(work / "two", "EZBEPORT1121", beside="EZBEPORT1221").start()
    try:
        one = Stack(service.door, "EZBEPORT1121", "SYS1.TCPIP")
        two = Stack(service.door, "EZBEPORT1221", "SYS2.TCPIP")
        one.acquire("10.1.1.1", 3)
        two.acquire("10.2.2.2", 5)
        watched = Watched(browser, service, viewport=WIDE)
        page = watched.open()
        pick, lists, stacks = page.locator("#structure"), page.locator("#lists tbody"), page.locator("#stacks tbody")
        expect(lists).to_contain_text("10.1.1.1")
        names = pick.locator("option").all_inner_texts()
        check("every structure can be chosen", pick.is_enabled() and names == ["EZBEPORT1121", "EZBEPORT1221"], names)
        pick.select_option("EZBEPORT1221")
        expect(lists).to_contain_text("10.2.2.2")
        expect(stacks).to_contain_text("SYS2.TCPIP")
        check("of the other one nothing is left", "10.1.1.1" not in lists.inner_text() and "SYS1" not in stacks.inner_text())
        check("its 320 ports are shown", "320" in lists.inner_text(), lists.inner_text())
        check("the address says which", "EZBEPORT1221" in page.url, page.url)
        one.acquire("10.1.1.9", 1)
        two.acquire("10.2.2.9", 1)
        expect(lists).to_contain_text("10.2.2.9")
        check("what happens in the other one does not come in", "10.1.1.9" not in lists.inner_text())
        page.reload()
        expect(lists).to_contain_text("10.2.2.9")
        check("it is still chosen after a reload", pick.input_value() == "EZBEPORT1221", pick.input_value())
        pick.focus()
        page.keyboard.press("ArrowUp")
        expect(lists).to_contain_text("10.1.1.9")
        check("it is chosen by keys too", pick.input_value() == "EZBEPORT1121" and "10.2.2" not in lists.inner_text())
        watched.end()
        check("a service of two ends in order", service.stop() == 0)
    finally:
        service.kill()


def headers(service):
    with urllib.request.urlopen(service.url) as answer:
        policy = answer.headers["content-security-policy"]
        check("only what comes with the page is run", "default-src 'none'" in policy and "unsafe" not in policy, policy)


def as_displayed(watched, service):
    """What the page showed last is what `portplex display` says of the closed store."""
    page = watched.page
    expect(page.locator("#line")).to_have_attribute("data-state", "live")
    as_of = lambda: digits(page.locator("#asof").inner_text().split()[-1])
    for _ in range(120):
        page.wait_for_timeout(500)
        if as_of() == watched.json("/ranges")["lsn"]:
            break
    lsn, shown = as_of(), lists_shown(page)
    states = {row.locator("td").first.inner_text(): "failed-persistent" in row.inner_text() for row in page.locator("#stacks tbody tr").all()}
    signs = page.locator("#map [role=option]").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    check("the service ends in order with a page open", service.stop() == 0)
    lists = service.display("lists")
    check("nothing happened since", lists["lsn"] == lsn, lists["lsn"], lsn)
    check("the lists are as `portplex display lists` says", shown == lists_of(lists))
    connectors = service.display("connectors")["connectors"]
    wanted = {row["connector"]: row["state"] == "failed-persistent" for row in connectors}
    check("the stacks are as `portplex display connectors` says", states == wanted)
    for row in service.display("groups")["lists"]:
        if (row["dvipa"], row["transport"]) != ("10.20.0.1", "tcp"):
            continue
        used = {group["group"]: group for group in row["groups"]}
        for number, label in enumerate(signs):
            holders = used.get(number, {"holders": []})["holders"]
            named = all(f"{holder['connector']} holds {int(holder['mask'], 16).bit_count()} port" in label for holder in holders)
            assert named and ((number in used) != label.endswith(": free")), (label, holders)
        check("every group is as `portplex display groups` says", len(used) > 50)


def main(work, shots):
    service = Service(work / "data")
    (work / "data").mkdir()
    (work / "empty").mkdir()
    (work / "two").mkdir()
    with sync_playwright() as playwright:
        chromium = shutil.which(os.environ.get("PORTPLEX_CHROMIUM", "chromium"))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            service.start()
            scene = Scene(service)
            headers(service)
            watched = Watched(browser, service, viewport=WIDE)
            watched.open()
            for row in (LONG_DVIPA, "10.30.0.194"):
                expect(watched.page.locator("#lists tbody")).to_contain_text(row)
            contents(watched)
            keys(watched, the_map(watched))
            filters_and_legend(watched)
            live(watched, scene)
            looked_at(browser, service, shots)
            gone_and_back(watched)
            as_displayed(watched, service)
            watched.faults = [fault for fault in watched.faults if "ERR_" not in fault]
            watched.end()
            empty(browser, work, shots)
            chosen(browser, work)
        finally:
            service.kill()
            browser.close()
    print("the page: all is so")


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
