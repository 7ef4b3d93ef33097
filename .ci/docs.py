"""The reference of the four packages as static pages: `python .ci/docs.py [FOLDER]`, build/docs.

First every reference is checked: dotted names of our packages in backticks, in docstrings and
pages, must resolve by import; commands must exist; links of pages must lead somewhere. The READMEs
are the first pages, the docstrings the rest; the proofs of `am_theory.derivations` have their
formulas drawn as SVG. The pages need no network. `--check` only checks.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("am_theory", "models", "simulations", "paper")
PAGES = {
    "Front page": "README.md",
    "The theory": "am_theory/README.md",
    "The models": "models/README.md",
    "The simulations": "simulations/README.md",
    "The probe": "simulations/probe/README.md",
    "The engine": "simulations/sweep/README.md",
    "The appendix": "paper/README.md",
    "Contributing": "CONTRIBUTING.md",
    "Benchmarks": "BENCHMARKS.md",
    "Changes": "CHANGELOG.md",
}
NAME = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(\(\))?`")
COMMAND = re.compile(rf"python -m\s+((?:{'|'.join(PACKAGES)})(?:\.\w+)*)\b(?!\.?[<{{])")
SCRIPT = re.compile(r"python ((?:simulations|tests|paper|models)/[\w/]+\.py)")
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")

# The search of the pages runs in a worker, which browsers refuse to files: here in a hidden frame.
WORKER = """if (location.protocol === "file:") window.Worker = class extends EventTarget {
  constructor(url) {
    super();
    const frame = document.body.appendChild(document.createElement("iframe"));
    frame.hidden = true;
    const inner = frame.contentWindow;
    inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", {data}));
    this.ready = new Promise(done => {
      const script = inner.document.createElement("script");
      script.src = url;
      script.onload = () => done(inner);
      inner.document.body.append(script);
    });
  }
  postMessage(data) {
    this.ready.then(inner => inner.dispatchEvent(new MessageEvent("message", {data})));
  }
  terminate() {}
};
"""


# what is checked


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module of the packages."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute or field of one, by import."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError as error:
            if error.name and ".".join(parts[:cut]).startswith(error.name):
                continue
            raise
        for part in parts[cut:]:
            fields = getattr(found, "__annotations__", {})
            if hasattr(found, part):
                found = getattr(found, part)
            elif part in fields:
                found = fields[part]
            else:
                return False
        return True
    return False


def runs(module: str) -> bool:
    """Whether `python -m MODULE` is a command: a package with __main__, or a script's guard."""
    try:
        spec = importlib.util.find_spec(module)
        if spec and spec.submodule_search_locations:
            spec = importlib.util.find_spec(f"{module}.__main__")
    except ModuleNotFoundError:
        return False
    return bool(spec and spec.origin and "__main__" in Path(spec.origin).read_text())


def docstrings() -> Iterator[tuple[str, str]]:
    """Where it stands, and the text, of every docstring of the packages."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                line = getattr(node, "lineno", 1)
                yield f"{path.relative_to(ROOT)}:{line}", text


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page, as GitHub and Python-Markdown make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
    return {re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def broken_links(page: Path) -> Iterator[str]:
    """A sentence on each link of a page that leads nowhere."""
    for _, target in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.S)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists():
            yield f"{page.relative_to(ROOT)}: there is no {target}"
        elif anchor and anchor not in anchors(there.read_text()):
            yield f"{page.relative_to(ROOT)}: {name or 'it'} has no heading #{anchor}"


def broken_names(where: str, text: str) -> Iterator[str]:
    """A sentence on each name or command of a text that there is not."""
    for name, _ in NAME.findall(text):
        if not resolves(name):
            yield f"{where}: `{name}` is no module, function, class or field"
    for module in COMMAND.findall(text):
        if not runs(module):
            yield f"{where}: `python -m {module}` is no command"
    for script in SCRIPT.findall(text):
        if not (ROOT / script).exists():
            yield f"{where}: there is no script {script}"


def problems() -> list[str]:
    """Every broken reference of docstrings and pages."""
    sys.path.insert(0, str(ROOT))
    pages = [ROOT / name for name in PAGES.values()]
    texts = [(str(page.relative_to(ROOT)), page.read_text()) for page in pages]
    found = [line for page in pages for line in broken_links(page)]
    for where, text in [*texts, *docstrings()]:
        found += broken_names(where, text)
    return found


# what is written


def public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def linked(text: str, prefix: str = "") -> str:
    """Names in backticks as links into the reference, where it has them; code is left alone."""

    def link(found: re.Match[str]) -> str:
        for name in (found[1], prefix + found[1]):
            known = name.startswith(tuple(f"{package}." for package in PACKAGES))
            if known and public(name) and resolves(name) and not fields_only(name):
                return f"[`{found[1]}`][{name}]"
        return found[0]

    parts = re.split(r"(```.*?```)", text, flags=re.S)
    pattern = r"(?<![\[`])`([A-Za-z]\w*(?:\.\w+)+)`(?!\])"
    return "".join(p if p.startswith("```") else re.sub(pattern, link, p) for p in parts)


def fenced(text: str) -> str:
    """A docstring whose examples, where no heading announces them, are code and no quotations."""
    if re.search(r"^Examples\n-+$", text, flags=re.M):
        return text
    return re.sub(
        r"^>>> (?:.+\n?)+", lambda m: f"```pycon\n{m[0].rstrip()}\n```\n", text, flags=re.M
    )


def fields_only(name: str) -> bool:
    """Whether a name is one that the reference may lack: an attribute, or a name handed on."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        module = ".".join(parts[:cut])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
            if getattr(found, "__module__", None) != module:
                return True
        return False
    return True


def drawn(latex: str, display: bool) -> str:
    """A formula as SVG in the line, or on a line of its own."""
    import ziamath

    latex = re.sub(r"(\d)cm", r"\1{c}m", latex)  # a product, which ziamath takes for a length
    # brackets round a sum of a line of its own would be a page high
    latex = re.sub(r"\\left\[([^\]]*\\sum.*?)\\right\]", r"\\Bigl[\1\\Bigr]", latex)
    svg = ziamath.Latex(latex, size=18, inline=not display).svg()
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(latex)}" ', 1)
    return f'\n<p class="formula">{svg}</p>\n' if display else f'<span class="formula">{svg}</span>'


def escape(text: str) -> str:
    for character, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, code)
    return text


def typeset(text: str) -> str:
    """A paragraph of LaTeX as Markdown, its formulas drawn."""
    text = re.sub(r"\\\[(.*?)\\\]", lambda m: drawn(m[1].strip(), True), text, flags=re.S)
    text = re.sub(r"\$(.+?)\$", lambda m: drawn(m[1], False), text, flags=re.S)
    return text.replace("``", "“").replace("''", "”").replace("~", " ")


def proofs() -> str:
    """The page of the proofs; each is proved again when it is written."""
    from am_theory.derivations import ALL

    lines = ["# Proofs", "", "Each is proved by SymPy when this page is made.", ""]
    for name, prove in ALL.items():
        found = prove()
        lines += [f"## {typeset(found.title)}", "", f"`am_theory.derivations.{name}`", ""]
        lines += [typeset(step) + "\n" for step in found.steps]
        if found.numeric:
            lines += [f"In high precision, not symbolically: {typeset(found.numeric)}.", ""]
    return "\n".join(lines)


def stage(folder: Path) -> list[object]:
    """Write the sources of the pages to a folder; returns the table of contents."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in PAGES.values():
        page = ROOT / name
        here = folder / name
        here.parent.mkdir(parents=True, exist_ok=True)
        text = page.read_text()
        prefix = f"{page.parent.name}." if page.parent != ROOT else ""
        here.write_text(linked(text, prefix))
        for _, target in LINK.findall(text):
            file = (page.parent / target.partition("#")[0]).resolve()
            if "://" not in target and file.is_file() and file.suffix != ".md":
                copy = folder / file.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
    (folder / "proofs.md").write_text(proofs())
    (folder / "iframe-worker.js").write_text(WORKER)
    (folder / "formulas.css").write_text(
        ".formula svg { vertical-align: middle } p.formula { text-align: center }\n"
        ".md-grid { max-width: 80rem }\n"
    )
    tree: dict[str, object] = {}
    for name, path in modules():
        if not public(name) or name.endswith("__main__"):
            continue
        file = f"reference/{name}.md"
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(f"::: {name}\n")
        room = tree
        *rooms, last = name.split(".")
        for part in rooms:
            room = room.setdefault(part, {})  # type: ignore[assignment]
        if path.name == "__init__.py":
            room.setdefault(last, {})["about"] = file  # type: ignore[index]
        else:
            room[last] = file
    return [*({title: name} for title, name in PAGES.items()), {"Proofs": "proofs.md"}, *nav(tree)]


def nav(tree: dict[str, object]) -> list[object]:
    return [{k: nav(v) if isinstance(v, dict) else v} for k, v in tree.items()]


def extension() -> object:
    """Names in docstrings become links too."""
    import griffe

    class Links(griffe.Extension):
        def on_object(self, *, obj: object, **_: object) -> None:
            text = getattr(obj, "docstring", None)
            if text is not None:
                text.value = linked(fenced(text.value))

    return Links


def build(out: Path) -> None:
    """Write the pages; any warning is an error."""
    from mkdocs.commands.build import build as mkdocs
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    logging.basicConfig(level=logging.WARNING, format="docs: %(message)s")
    sources = ROOT / "build" / "docs-sources"
    contents = stage(sources)
    options = {
        "docstring_style": "auto",
        "docstring_options": {
            "default": "numpy",
            "per_style_options": {style: {"warnings": False} for style in ("google", "numpy")},
        },
        "show_root_heading": True,
        "show_root_full_path": True,
        "show_bases": False,
        "show_source": True,
        "members_order": "source",
        "separate_signature": True,
        "show_signature_annotations": True,
        "signature_crossrefs": False,
        "heading_level": 1,
        "filters": ["!^_"],
        "show_submodules": False,
        "extensions": [{f"{Path(__file__).resolve()}:Links": {}}],
    }
    settings = dict(
        site_name="am-theory",
        docs_dir=str(sources),
        site_dir=str(out),
        use_directory_urls=False,
        strict=True,
        nav=contents,
        extra_css=["formulas.css"],
        extra={"polyfills": ["iframe-worker.js"], "generator": False},
        theme={
            "name": "material",
            "font": False,
            "features": ["navigation.indexes", "navigation.prune", "content.code.copy"],
        },
        plugins=[
            "search",
            "offline",
            {"mkdocstrings": {"handlers": {"python": {"paths": [str(ROOT)], "options": options}}}},
        ],
        markdown_extensions=[
            "tables",
            "admonition",
            "attr_list",
            "pymdownx.superfences",
            "pymdownx.highlight",
            {"toc": {"permalink": True}},
        ],
        validation={"anchors": "warn"},
    )
    file = ROOT / "build" / "mkdocs.yml"
    file.write_text(json.dumps(settings))
    try:
        mkdocs(load_config(str(file)))
    except Abort:
        sys.exit("docs: the pages have broken references; the lines above name them.")


def __getattr__(name: str) -> object:  # the extension needs a package that --check does without
    if name == "Links":
        return extension()
    raise AttributeError(name)


def main(words: list[str]) -> None:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if found := problems():
        sys.exit("\n".join([*found, f"docs: {len(found)} broken references."]))
    if "--check" in words:
        return
    out = Path(words[0]).resolve() if words else ROOT / "build" / "docs"
    build(out)
    print(f"Reference: {out / 'index.html'}")


if __name__ == "__main__":
    main(sys.argv[1:])
