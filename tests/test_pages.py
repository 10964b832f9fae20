"""Every page on a phone, a tablet and a desktop: nothing is cut, what scrolls shows that it does, nothing is tiny."""

import json
import re
from html import unescape

import pytest

from browser import dumped
from page_examples import PAGES

pytestmark = pytest.mark.slow

WIDTHS = (360, 400, 800, 1400)
# Opens every page in a frame of each width, with all details open, and lists what is wrong in it.
AUDIT = """<!doctype html><body><script>
const addresses = %s, widths = %s, faults = {}, checked = {};
function audit(view, name) {
  const root = view.document.documentElement;
  const wrong = [];
  const told = (what, {tagName, textContent, classList}) =>
    wrong.push(`${what}: <${tagName.toLowerCase()} class="${classList}"> ${textContent.trim().slice(0, 40)}`);
  for (const part of view.document.querySelectorAll("details")) part.open = true;
  if (root.scrollWidth > view.innerWidth) wrong.push(`the page is ${root.scrollWidth} pixels wide`);
  let scrolls = 0;
  for (const node of view.document.body.querySelectorAll("*")) {
    const style = view.getComputedStyle(node), box = node.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    if (node.closest("svg") && node.tagName !== "svg") {
      if (node.tagName !== "text" || !node.textContent) continue;
      const svg = node.ownerSVGElement.getBoundingClientRect();
      if (box.left < svg.left - 1 || box.right > svg.right + 1 || box.top < svg.top - 2 || box.bottom > svg.bottom + 2)
        told("a label outside of its chart", node);
      if (parseFloat(style.fontSize) * node.getScreenCTM().a < 8.5) told("a label too small to read", node);
      continue;
    }
    if (style.overflowX === "visible" || style.overflowX === "clip" || node.tagName === "OPTION") {
      // What nothing clips must stay inside the page.
      if (!node.closest(".scroll") && box.right > view.innerWidth + 1) told("beyond the edge", node);
      continue;
    }
    if (node.scrollWidth <= node.clientWidth + 1) continue;
    if (!["auto", "scroll"].includes(style.overflowX)) told("cut", node);
    else if (!/gradient/.test(style.backgroundImage) || !/local/.test(style.backgroundAttachment))
      told("scrolls without a sign", node);
    else scrolls++;
  }
  faults[name] = [...new Set(wrong)];
  checked[name] = scrolls;
}
const waiting = [];
for (const [name, address] of Object.entries(addresses)) for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  waiting.push(new Promise(done => frame.onload = () => { audit(frame.contentWindow, `${name} ${width}`); done(); }));
  frame.src = address;
  document.body.append(frame);
}
Promise.all(waiting).then(() => {
  const text = JSON.stringify({faults, checked});
  document.body.replaceChildren(Object.assign(document.createElement("pre"), {id: "result", textContent: text}));
});
</script>"""


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """What the audit finds wrong in each page at each width, and how many parts of it scroll."""
    folder = tmp_path_factory.mktemp("pages")
    addresses = {name: make(folder).resolve().as_uri() for name, make in PAGES.items()}
    audit = folder / "audit.html"
    audit.write_text(AUDIT % (json.dumps(addresses), json.dumps(WIDTHS)), encoding="utf-8")
    text = dumped(audit.as_uri(), folder / "browser", "--allow-file-access-from-files")
    return json.loads(unescape(re.search('<pre id="result">(.*?)</pre>', text, re.S)[1]))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_and_what_scrolls_shows_it(audited, name):
    faults = {key: value for key, value in audited["faults"].items() if key.split()[0] == name}
    assert len(faults) == len(WIDTHS)
    assert {key: value for key, value in faults.items() if value} == {}


def test_tables_and_the_timeline_scroll_on_a_phone(audited):
    # Otherwise the audit has not seen what it is for.
    assert all(audited["checked"][f"{name} 400"] >= 1 for name in PAGES)
