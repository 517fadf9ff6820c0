"""Translations are whole: every key of the English file, nothing stale, the same numbers, names and placeholders."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCALES, DOCS = ROOT / "locales", ROOT / "web" / "docs"
LANGUAGES = sorted(path.stem for path in LOCALES.glob("*.json"))
MAIN_NODES = ["EX4DBuildDWMesh", "EX4DCameraTrajectory", "EX4DLoadVideo", "EX4DRenderColorMask", "WanEX4DSampler"]
"""Their help pages are translated; the others' are shown in English by the host."""
SAME_IN_ALL = {"DepthCrafter", "VAE", "CLIP", "CFG", "sigmas"}
"""Translations that need no letter of the language."""
OPTIONS = (
    "released paper random fixed off auto full disparity inverse metric crop pad stretch json npz re10k chan gltf glb"
)
LITERAL = re.compile(
    r"%\w+%|\{\}|\.?\w+(?:[./_]\w+)+|\.\w{3,}|\d+(?:\.\d+)?|(?:(?<=^)|(?<=[.] )|(?<=; ))(?:"
    + "|".join(OPTIONS.split())
    + "):"
)
"""What no translation changes: placeholders, paths, endings, numbers, and options that a sentence explains."""
NAMED = {"few_steps"}
"""Called by its name in the language."""
FIRST_LINE = "<!-- inputs -->"


def table(language: str) -> dict[str, str]:
    return json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))


def node_defs(language: str) -> dict:
    return json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))


def leaves(tree: dict, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    for key, value in tree.items():
        found |= leaves(value, (*path, key)) if isinstance(value, dict) else {(*path, key): value}
    return found


def test_the_languages_are_those_promised():
    assert LANGUAGES == ["ja", "ko", "zh"]
    assert {path.parent.name for path in LOCALES.glob("*/nodeDefs.json")} == {"en", *LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_a_node_is_translated_and_no_other(language):
    english, words = leaves(node_defs("en")), table(language)
    translated = leaves(node_defs(language))
    assert translated.keys() == english.keys()
    missing = {path: text for path, text in english.items() if text not in words}
    assert not missing
    assert {path: text for path, text in translated.items() if text != words[english[path]]} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_are_in_the_language_and_keep_what_is_literal(language):
    for text, translated in table(language).items():
        assert not translated.isascii() or translated in SAME_IN_ALL, text
        assert translated.strip() == translated
        kept = [word.rstrip(":") for word in LITERAL.findall(text) if word not in NAMED]
        assert not [word for word in kept if word not in translated], (text, translated)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_call_nodes_by_the_names_they_have_in_the_language(language):
    words = table(language)
    names = {node["display_name"] for node in node_defs("en").values()} - {"DepthCrafter"}
    assert names <= words.keys()
    for text, translated in words.items():
        for name in names:
            short, ours = (each.removesuffix(" (EX-4D)") for each in (name, words[name]))
            assert short not in text or ours in translated, (text, translated)


def outline(page: str) -> list[str]:
    """Headings by their level, pictures, rows of tables and bullets, in their order; the generated tables left out."""
    page = re.sub(rf"{FIRST_LINE}.*?<!-- /inputs -->", FIRST_LINE, page, flags=re.DOTALL)
    marks = re.compile(r"(#+) |!\[.*\]\((.*)\)|(\|)|([*-] |\d\. )|(<!-- .*)")
    return [
        "".join(part or "" for part in match.groups()) for line in page.splitlines() if (match := marks.match(line))
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", MAIN_NODES)
def test_help_pages_have_the_parts_of_the_english_one(name, language):
    english = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    page = (DOCS / name / f"{language}.md").read_text(encoding="utf-8")
    assert outline(page) == outline(english)
    assert page.startswith(f"# {node_defs(language)[name]['display_name']}\n")
    shown = set(re.findall(r"`[^`\n]+`", english.split(FIRST_LINE)[0]))
    assert shown <= set(re.findall(r"`[^`\n]+`", page))


def test_no_page_is_translated_into_a_language_that_is_not_offered():
    assert {path.stem for path in DOCS.glob("*/*.md")} == set(LANGUAGES)
    assert {path.parent.name for path in DOCS.glob("*/*.md")} == set(MAIN_NODES)


def test_settings_are_named_in_every_language():
    script = (ROOT / "web" / "settings.js").read_text(encoding="utf-8")
    ids = re.findall(r"(?:id: |BACKEND_SETTING = )'(EX4D\.[\w.]+)'", script)
    assert len(ids) == 3
    english = json.loads((LOCALES / "en" / "settings.json").read_text(encoding="utf-8"))
    assert english.keys() == {name.replace(".", "_") for name in ids}
    for entry in english.values():
        assert f"'{entry['name']}'" in script and f"'{entry['tooltip']}'" in script
    for language in LANGUAGES:
        translated = json.loads((LOCALES / language / "settings.json").read_text(encoding="utf-8"))
        assert translated.keys() == english.keys()
        for key, entry in translated.items():
            assert not entry["name"].isascii() and not entry["tooltip"].isascii()
            kept = re.findall(r"(?<![\w])[a-z]+(?=:)", english[key]["tooltip"])
            assert not [word for word in kept if word not in entry["tooltip"]]
