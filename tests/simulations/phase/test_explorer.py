"""explorer.html: its data are the analysis, its script shows them, and no text can end it."""

import base64
import dataclasses
import hashlib
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from simulations.measure.bootstrap import stated_interval
from simulations.measure.names import SMALL_LEVEL
from simulations.phase.analysis import analyse
from simulations.phase.order import ACTORS, READINGS, Orders, make_orders
from simulations.phase.study import STUDY, merge
from simulations.phase.tell import explorer
from simulations.phase.tell.explorer import explorer_data, explorer_page, script_safe
from tests.simulations.registry import STUDIES

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), "")
browser = pytest.mark.skipif(not CHROMIUM, reason=f"no {', '.join(BROWSERS)} to open the page with")
WALK = """<script>
const root = document.documentElement, log = [];
const shown = () => Object.fromEntries([...document.querySelectorAll("[data-key]")].map(
  (one) => [one.dataset.key, one.dataset.value]));
const move = (id, value, kind = "input") => {
  const control = document.getElementById(id);
  if (control.value === String(value)) return;
  control.value = value;
  control.dispatchEvent(new Event(kind));
};
const note = () => log.push([root.dataset.shown, decodeURIComponent(location.hash), shown(),
  document.getElementById("verdict").textContent]);
const count = (id) => document.getElementById(id).options.length;
for (const d of [...document.getElementById("d").options]) {
  for (const r of [...document.getElementById("r").options]) {
    move("d", d.value, "change");
    move("r", r.value, "change");
    for (let k = 0; k <= document.getElementById("k").max; k++) {
      for (let t = 0; t <= document.getElementById("t").max; t++) {
        move("k", k);
        move("t", t);
        note();
      }
    }
  }
}
for (const dot of [0, document.querySelectorAll("#plane .dot").length - 1]) {
  const box = document.querySelectorAll("#plane .dot")[dot].getBoundingClientRect();
  document.querySelector("#plane svg").dispatchEvent(new MouseEvent("click",
    { clientX: box.x + 4, clientY: box.y - 3, bubbles: true }));
  note();
}
root.dataset.wide = String(root.scrollWidth > root.clientWidth);
root.dataset.log = JSON.stringify(log);
</script></body>"""


def tiny_config():
    return STUDY.parse(["--preset", "smoke", *STUDIES["phase_diagram"].tiny.split()]).config


@pytest.fixture(scope="module")
def tiny(tiny_run):
    """The analysis of the tiny run and its order parameters."""
    config = tiny_config()
    analysis = analyse(config, merge(tiny_run("phase_diagram"), config))
    return analysis, make_orders(analysis)


@pytest.fixture(scope="module")
def poor(tiny):
    """The same as if of a text, without a law, and with one denoiser at a single size."""
    analysis, orders = tiny
    data = analysis.data.copy(deep=True)
    first = data["train_size"].values[0]
    for where in ({"denoiser": "population"}, {"denoiser": "pairwise", "train_size": first}):
        for name, nothing in (
            *((name, np.nan) for name in ("entropy", "log_loss", "own", "nearest", "nelbo")),
            *((name, -1) for name in ("recovered", "broken", "vanishing", "kept")),
        ):
            data[name].loc[where] = nothing
    less = analyse(dataclasses.replace(analysis.config, source="text"), data)
    kept = {key: order for key, order in orders.orders.items() if key[0] != "pairwise"}
    return less, Orders(kept, {}, {})


def digits(value):
    return float(f"{value:.4g}")


def test_bands_are_the_analysis_and_the_merged_counts(tiny):
    analysis, orders = tiny
    data, config = explorer_data(analysis, orders), analysis.config
    assert data["about"]["train_sizes"] == list(config.train_sizes)
    assert [one["name"] for one in data["denoisers"]] == [
        name for name in ACTORS if name in analysis.denoisers
    ]
    rate = analysis.rate("corrupted recovery", "trained", "ancestral", "heldout")
    counts = analysis.data.sel(denoiser="trained", decoder="ancestral", split="heldout")
    for i, t in enumerate(config.levels):
        at = counts.sel(t=t)
        share = at["recovered"].sum("sample") / at["corrupted"].sum("sample")
        for k, size in enumerate(config.train_sizes):
            found = data["curves"]["trained"]["recovery"][i]["heldout"][k]
            interval = (rate.estimate[k, i], rate.low[k, i], rate.high[k, i])
            assert found == [digits(value) for value in interval]
            assert found[0] == digits(share.sel(train_size=size).mean("seed").item())
    entropy = analysis.law("entropy", "empirical", "loo", "train", "trained")
    assert data["cells"]["trained"]["memorizer"]["entropy"][0][0] == digits(entropy.estimate[0, 0])


def test_ends_are_of_the_seeds_of_the_denoiser(tiny):
    analysis, orders = tiny
    found = explorer_data(analysis, orders)["curves"]["pairwise"]["recovery"][0]
    for end, name in (("memorizer", "empirical"), ("law", "population")):
        rate = analysis.rate("corrupted recovery", name, "ancestral", "train", "pairwise")
        assert [row[0] for row in found[end]["train"]] == list(map(digits, rate.estimate[:, 0]))


def test_order_parameters_are_those_of_the_analysis(tiny):
    analysis, orders = tiny
    data = explorer_data(analysis, orders)
    for (name, reading, t), order in orders.orders.items():
        i = explorer.levels_of(analysis, reading).index(t)
        found = data["curves"][name][reading][i]
        for key, curve in (("M", order.memory), ("G", order.generalization)):
            by_size = dict(zip(analysis.train_sizes, found[key], strict=True))
            for k, size in enumerate(curve.train_sizes):
                row = by_size[int(size)]
                if np.isnan(curve.estimate[k]):
                    assert row is None
                    continue
                ends = stated_interval(curve.replicates[:, k], 0.95)
                assert row[0] == digits(curve.estimate[k])
                assert np.isnan(ends[0]) or row[1:] == [digits(end) for end in ends]
        for key, size in (("K_M", order.k_memory), ("K_G", order.k_generalization)):
            value = found[key]["value"]
            assert found[key]["status"] == size.status
            word = {"below grid": "below", "above grid": "above", "undefined": None}
            assert value == word.get(size.status, digits(size.value) if size.value > 0 else None)


def test_fixed_points_and_examples_are_the_merged_data(tiny):
    analysis, orders = tiny
    data, merged = explorer_data(analysis, orders), analysis.data
    kept = merged["kept"].sel(map="loo", denoiser="trained", split_start="train")
    share = (kept == analysis.config.seq_len).mean(("start", "seed"))
    assert data["cells"]["trained"]["own"]["fixed"]["train"] == list(map(digits, share.values))
    for split in ("train", "heldout"):
        found = data["examples"][split]
        part = merged.sel(split_read=split, seed=0)
        assert found["clean"] == part["example_clean"].values.tolist()
        for name in explorer.EXAMPLE_ROWS:
            tokens = part[f"example_{name}"].transpose("train_size", "t", "example", "position")
            assert found[name] == tokens.values.tolist()


def test_without_a_law_the_sizes_are_relative_and_its_curves_absent(poor):
    data = explorer_data(*poor)
    assert data["about"]["relative"]
    assert data["information"] == []
    point = data["curves"]["trained"]["recovery"][0]
    assert "law" not in point
    assert "memorizer" in point
    assert "law" not in data["cells"]["trained"]
    pairwise = next(one for one in data["denoisers"] if one["name"] == "pairwise")
    assert pairwise["measured"][0] is False
    assert data["curves"]["pairwise"]["recovery"][0]["train"][0] is None
    assert "M" not in data["curves"]["pairwise"]["recovery"][0]
    assert data["cells"]["pairwise"]["own"]["fixed"]["train"][0] is None


def test_no_text_of_the_data_ends_the_script_or_makes_an_element(tiny, monkeypatch):
    hostile = "</script><script>alert(1)</script><!-- @@SCRIPT@@ &\u2028"
    data = explorer_data(*tiny)
    data["about"]["source"] = hostile
    monkeypatch.setattr(explorer, "explorer_data", lambda analysis, orders: data)
    page = explorer_page(*tiny)
    assert "<script>alert" not in page
    block = re.search('<script type="application/json" id="data">(.*?)</script>', page, re.S)[1]
    assert json.loads(block)["about"]["source"] == hostile
    assert html.escape(hostile) in page


def test_the_policy_allows_one_script_and_one_style_and_no_address(tiny):
    page = explorer_page(*tiny)
    policy = html.unescape(re.search('Policy" content="(.*?)"', page)[1])
    assert policy.startswith("default-src 'none'")
    for directive, element in (("script-src", "script"), ("style-src", "style")):
        text = re.search(f"<{element}>(.*?)</{element}>", page, re.S)[1]
        key = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{key}'" in policy
    assert set(re.findall(r"https?://[^\"' ]*", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(src|href)\s*=|@import|url\((?!#)", page)
    assert "@@" not in page


def test_the_page_of_the_small_preset_stays_small(tiny, monkeypatch):
    data = explorer_data(*tiny)
    n_sizes, n_levels, seq_len = 10, 8, 16

    def grown(value, length):
        return [value[i % len(value)] for i in range(length)]

    def over_sizes(value):
        if isinstance(value, dict) and "status" not in value:
            return {key: over_sizes(part) for key, part in value.items()}
        return grown(value, n_sizes) if isinstance(value, list) else value

    model = data["curves"]["trained"]
    point = {**model["recovery"][0], "M": [[0.1234] * 3] * 2, "G": [[0.1234] * 3] * 2}
    data["curves"] = {
        name: {reading: [over_sizes(point)] * n_levels for reading in READINGS} for name in ACTORS
    }
    data["cells"] = {name: over_sizes(data["cells"]["trained"]) for name in ACTORS}
    tokens = [[15] * seq_len] * 6
    for split in data["examples"].values():
        split["clean"] = [tokens] * n_sizes
        split |= {name: [[tokens] * n_levels] * n_sizes for name in explorer.EXAMPLE_ROWS}
    monkeypatch.setattr(explorer, "explorer_data", lambda analysis, orders: data)
    assert 2e5 < len(explorer_page(*tiny).encode()) < 3e6
    assert len(script_safe(data)) > 2e5


class Shown(HTMLParser):
    """The attributes of the root and, of every element with a data-key, value and first text."""

    def __init__(self, text):
        super().__init__()
        self.root, self.values, self.texts, self.key = {}, {}, {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "html":
            self.root = found
        self.key = found.get("data-key")
        if self.key:
            self.values[self.key] = found["data-value"]

    def handle_data(self, text):
        if self.key and text.strip():
            self.texts[self.key] = text.strip()
            self.key = None


def opened(tmp_path, page, fragment="", walk=""):
    """The page as a browser of 800 pixels shows it; with `walk` after that script."""
    file = tmp_path / "explorer.html"
    if walk:  # the policy would forbid it, as it should
        page = re.sub("<meta http-equiv=.*?>", "", page).replace("</body>", walk)
    file.write_text(page, encoding="utf-8")
    ran = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"),
            *("--virtual-time-budget=20000", "--dump-dom", f"{file.as_uri()}#{fragment}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "CONSOLE" not in ran.stderr, ran.stderr
    return Shown(ran.stdout)


def expected(data, d, r, k, t):
    """What must be shown of own and memorizer's recovery, M and G, as data-value has it."""
    one = next(one for one in data["readings"] if one["name"] == r)
    at = one["levels"].index(t) if t in one["levels"] else 0
    point = data["curves"][d][r][at]
    measured = next(one for one in data["denoisers"] if one["name"] == d)["measured"][k]

    def of(band):
        return "" if band is None or band[k] is None else band[k][0]

    return {
        "own-train": of(point["train"]),
        "own-heldout": of(point["heldout"]),
        "memorizer-heldout": of(point["memorizer"]["heldout"]),
        "M": of(point.get("M")) if measured else "",
        "G": of(point.get("G")) if measured else "",
        "own-fixed-heldout": data["cells"][d]["own"]["fixed"]["heldout"][k],
        "own-entropy": of(data["cells"][d]["own"]["entropy"]),
    }


def same(shown, wanted):
    for key, value in wanted.items():
        found = shown[key]
        assert found == "" if value in ("", None) else float(found) == value, key


@browser
def test_the_address_chooses_the_point_and_the_numbers_are_those_of_the_analysis(tiny, tmp_path):
    analysis, orders = tiny
    page, data = explorer_page(analysis, orders), explorer_data(analysis, orders)
    sizes, levels = analysis.config.train_sizes, analysis.config.levels
    shown = {}
    for k, t in ((0, levels[0]), (1, levels[-1])):
        found = opened(tmp_path, page, f"K={sizes[k]}&t={t}&d=trained&r=recovery")
        assert found.root["data-errors"] == ""
        assert found.root["data-shown"] == f"{sizes[k]} {t} trained recovery"
        same(found.values, expected(data, "trained", "recovery", k, t))
        rate = analysis.rate("corrupted recovery", "trained", "ancestral", "train")
        estimate = rate.estimate[k, levels.index(t)]
        assert float(found.texts["own-train"]) == pytest.approx(estimate, abs=1e-3)
        shown[k] = found.values
    assert shown[0] != shown[1]
    found = opened(tmp_path, page, "K=%3Cb%3E&t=1e9&d=%3Cscript%3E&r=no")
    assert found.root["data-errors"] == ""
    assert found.root["data-shown"].endswith(f"{levels[-1]} trained recovery")


@browser
@pytest.mark.parametrize("run", ["tiny", "poor"])
def test_sliders_choices_and_clicks_change_the_numbers_shown(run, request, tmp_path):
    analysis, orders = request.getfixturevalue(run)
    data = explorer_data(analysis, orders)
    found = opened(tmp_path, explorer_page(analysis, orders), walk=WALK)
    assert found.root["data-errors"] == ""
    assert found.root["data-wide"] == "false"
    *walked, first, last = json.loads(found.root["data-log"])
    sizes, levels = analysis.config.train_sizes, analysis.config.levels
    names = [one["name"] for one in data["denoisers"]]
    points = [
        (d, r, k, t) for d in names for r in READINGS for k in range(len(sizes)) for t in levels
    ]
    assert len(walked) == len(points)
    for (shown, address, values, verdict), (d, r, k, t) in zip(walked, points, strict=True):
        assert shown == f"{sizes[k]} {t} {d} {r}"
        assert address == f"#K={sizes[k]}&t={t}&d={d}&r={r.replace(' ', '+')}"
        same(values, expected(data, d, r, k, t))
        measured = next(one for one in data["denoisers"] if one["name"] == d)["measured"]
        assert ("was not measured" in verdict) is not measured[k]
        assert ("law-train" in values) is (run == "tiny")
        level = SMALL_LEVEL if r == "single-token recovery" else t
        assert level in explorer.levels_of(analysis, r)
    assert first[0].startswith(f"{sizes[0]} {levels[0]} ")
    assert last[0].startswith(f"{sizes[-1]} {levels[-1]} ")
