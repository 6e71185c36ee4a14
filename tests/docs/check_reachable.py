"""Every page is reached by links from README.md, and every link between files leads somewhere.

Links to other hosts are not followed: whether they are there is not ours to say.
"""

import html
import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
INLINE = re.compile(r"\]\(\s*<?([^)\s>]*)>?(?:\s+[\"'(][^)]*)?\)")
DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
TAG = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=[\"']([^\"']+)", re.IGNORECASE)
ANCHOR = re.compile(r"<a\b[^>]*?\b(?:id|name)=[\"']([^\"']+)", re.IGNORECASE)
NAMED = re.compile(r"`((?:docs|packaging|tests|smcpd|smcpctl|man)/[A-Za-z0-9_./-]+)`")
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def prose(text):
    """Returns the lines outside fenced blocks."""
    lines, fence = [], None
    for line in text.splitlines():
        mark = FENCE.match(line)
        if fence is None and mark:
            fence = mark.group(1)
        elif fence is None:
            lines.append(line)
        elif mark and mark.group(1).startswith(fence) and not line.strip(" `~"):
            fence = None
    assert fence is None, "a fenced block is not closed"
    return lines


def without_code(text):
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text, flags=re.DOTALL)


def targets(text):
    """Returns what a page links to, pictures among it."""
    # A code span ends with its paragraph.
    paragraphs = "\n".join(prose(text)).split("\n\n")
    shown = "\n\n".join(without_code(paragraph) for paragraph in paragraphs)
    return [html.unescape(found) for kind in (INLINE, DEFINITION, TAG) for found in kind.findall(shown)]


def slug(heading):
    """Returns the anchor that GitHub gives a heading."""
    heading = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    heading = re.sub(r"<[^>]+>", "", heading)
    kept = []
    for letter in heading.strip().lower():
        kind = unicodedata.category(letter)
        if letter in "- " or kind[0] in "LM" or kind in ("Nd", "Nl", "Pc"):
            kept.append(letter)
    return "".join(kept).replace(" ", "-")


def anchors(text):
    found, seen = set(), {}
    for line in prose(text):
        heading = HEADING.match(line)
        if heading:
            name = slug(heading.group(1))
            count = seen.get(name, 0)
            seen[name] = count + 1
            found.add(f"{name}-{count}" if count else name)
    return found | set(ANCHOR.findall(text))


def pages(root):
    """Returns the pages whose links are looked at."""
    found = [root / "README.md", root / "CHANGELOG.md"]
    for pattern in ("docs/**/*.md", "plugins/README.md", "plugins/*/README.md", "tests/*/README.md", "packaging/**/*.md"):
        found += sorted(root.glob(pattern))
    return found


def resolve(root, page, target):
    """Returns the file and the anchor that a relative link leads to."""
    path, _, anchor = target.partition("#")
    file = Path(os.path.normpath(page.parent / unquote(path))) if path else page
    assert root == file or root in file.parents, "leads out of the repository"
    assert file.exists(), "leads to no file"
    if file.is_dir() and (file / "README.md").exists():
        file = file / "README.md"
    return file, unquote(anchor)


def leads_to(root, page):
    """Returns the files that a page links to, and what is wrong with its links."""
    found, wrong = set(), []
    for target in targets(page.read_text(encoding="utf-8")):
        if ELSEWHERE.match(target) or target.startswith("//"):
            continue
        try:
            file, anchor = resolve(root, page, target)
            if anchor:
                assert file.suffix == ".md", "has an anchor into what is no page"
                assert anchor in anchors(file.read_text(encoding="utf-8")), f"there is no heading `#{anchor}`"
            found.add(file)
        except AssertionError as error:
            wrong.append(f"{page.relative_to(root)}: `{target}` {error}")
    return found, wrong


def check_every_link_leads_to_a_file_and_a_heading(place):
    root = Path(place.root).resolve()
    looked_at = pages(root)
    assert len(looked_at) > 20, looked_at
    wrong = [line for page in looked_at for line in leads_to(root, page)[1]]
    assert not wrong, "\n".join(wrong)


def check_every_page_is_reached_from_the_readme(place):
    root = Path(place.root).resolve()
    start, chart = root / "README.md", root / "docs/README.md"
    assert chart in leads_to(root, start)[0], "README.md does not link to docs/README.md"
    # What only the README links to is missing on the map, so its other links do not count. Its pictures do.
    reached = {start, chart} | {file for file in leads_to(root, start)[0] if file.suffix == ".svg"}
    waiting = [chart]
    while waiting:
        for file in leads_to(root, waiting.pop())[0] - reached:
            reached.add(file)
            if file.suffix == ".md" and file != start:
                waiting.append(file)
    there = {file for file in (root / "docs").rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    there |= {page for page in pages(root) if page.parent.parent.name in ("plugins", "tests")}
    orphans = sorted(str(file.relative_to(root)) for file in there - reached)
    assert not orphans, "no link leads to:\n" + "\n".join(orphans)


def check_every_file_that_is_named_is_there(place):
    """What stands in backticks as a path of the repository, and is no link."""
    root = Path(place.root).resolve()
    wrong = []
    for page in pages(root):
        for name in NAMED.findall("\n".join(prose(page.read_text(encoding="utf-8")))):
            if not (root / name).exists() and not (page.parent / name).exists():
                wrong.append(f"{page.relative_to(root)}: there is no `{name}`")
    assert not wrong, "\n".join(wrong)


def check_the_rules_of_links_themselves(place):
    """The rules above, on what a careless reader would get wrong."""
    for heading, anchor in [
        ("What is looked at", "what-is-looked-at"),
        ("A promise: `outputSchema`", "a-promise-outputschema"),
        ("`contract.json`", "contractjson"),
        ("Resources, prompts and completion", "resources-prompts-and-completion"),
        ("Über [uns](x.md) & Co.", "über-uns--co"),
    ]:
        assert slug(heading) == anchor, (heading, slug(heading))
    page = "# One\n\n# One\n\n```sh\n# Two\n[a](gone.md)\n```\n\nuse `[b](gone.md)`, [c](there.md#x \"t\")\n\n[d]: e.md\n"
    assert anchors(page) == {"one", "one-1"}, anchors(page)
    assert targets(page + '<img src="f.svg" alt="">') == ["there.md#x", "e.md", "f.svg"], targets(page)
    broken = Path(place.temp) / "broken.md"
    broken.write_text("# Here\n\n[a](#here) [b](#there) [c](gone.md) [d](../../../../../../etc/passwd)\n", encoding="utf-8")
    wrong = leads_to(Path(place.temp), broken)[1]
    assert len(wrong) == 3, wrong
