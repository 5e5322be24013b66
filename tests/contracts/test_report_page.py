"""The page: for any report one file of at most 3 MB that runs nothing, loads nothing and says what it left out."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import msgspec
import pytest

import makers_report as make
from fieldmark.evaluation.evaluation import Case
from fieldmark.measures.table import MEASURES
from fieldmark.report.page import MOST_BYTES, render
from fieldmark.report.report import Report
from fieldmark.report.sheet import Sheet, View
from fieldmark.report.terminal import headline, summary_lines
from fieldmark.report.wording import WORDING

REPORTS = make.every_report()
VOID = {"meta", "img", "image", "rect", "line", "circle", "path", "polyline", "br"}
NASTY = (
    '<script>alert("class")</script>',
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "a\u202egnp.exe\x00\n\ud800",
)


class Page(HTMLParser):
    """What a browser would make of the page: tags with attributes, text, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page_of(report: Report) -> tuple[str, Page]:
    evaluation = report.test or report.validation
    html = render(report, make.pictures(evaluation) if evaluation else {})
    return html, Page(html)


@pytest.fixture(scope="module", params=REPORTS)
def drawn(request: pytest.FixtureRequest) -> tuple[Report, str, Page]:
    report = REPORTS[request.param]
    return report, *page_of(report)


def test_one_small_file_that_loads_and_runs_nothing(drawn: tuple[Report, str, Page]) -> None:
    _, html, page = drawn
    assert len(html.encode()) <= MOST_BYTES
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")


def test_the_policy_allows_exactly_the_page_s_own_style(drawn: tuple[Report, str, Page]) -> None:
    _, html, _ = drawn
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    sha = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{sha}'" in html
    assert "url(" not in style and "@import" not in style


def test_the_sentence_stands_on_the_page(drawn: tuple[Report, str, Page]) -> None:
    report, _, page = drawn
    assert headline(report) in page.text


def test_the_same_report_gives_the_same_bytes(drawn: tuple[Report, str, Page]) -> None:
    report, html, _ = drawn
    again = msgspec.json.decode(msgspec.json.encode(report), type=Report)
    assert page_of(again)[0] == html


def test_no_digits_for_what_was_not_measured() -> None:
    _, page = page_of(REPORTS["undefined"])
    assert not [text for text in page.text if "None" in text or "nan" in text]
    assert "–" in page.text


def test_every_class_and_its_figures_are_on_the_page_worst_first() -> None:
    report = REPORTS["clothing"]
    html, page = page_of(report)
    assert report.test is not None and set(report.test.classes) <= set(page.text)
    rows = re.findall(r'<tr><th scope="row"><span>([\w-]+)</span></th><td>\d+</td><td>', html)
    f1 = {figures.name: figures.figures["f1"].value for figures in report.test.per_class}
    assert rows == sorted(rows, key=lambda name: f1[name]) and len(rows) == len(f1)


def test_hostile_names_are_text() -> None:
    for nasty in NASTY:
        evaluation = make.single((nasty, "hat", *make.CLOTHING), 60, right=0.6)
        case = Case(file=nasty, truth=(nasty,), answer=("hat",), probability=0.9)
        evaluation = msgspec.structs.replace(evaluation, mistakes=(case,), notes=(nasty,))
        report = make.report(evaluation, name=nasty, skipped=((nasty, nasty),), notes=(nasty,), score_name=nasty)
        manifest = msgspec.structs.replace(report.manifest, created=nasty[-10:], asked={"model": nasty})
        html = render(msgspec.structs.replace(report, manifest=manifest), {nasty: make.picture(1)})
        page = Page(html)
        assert page.open == [] and "script" not in {tag for tag, _ in page.tags}
        assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
        assert "49" not in page.text and html.encode() and "\u202e" not in html and "\x00" not in html


def test_a_thumbnail_that_is_no_picture_is_not_embedded() -> None:
    report = REPORTS["clothing"]
    assert report.test is not None
    html = render(report, {case.file: b"<svg onload=alert(1)>" for case in report.test.mistakes})
    assert "<img" not in html and "no picture" in html


def test_at_most_3_mb_whatever_the_names_and_pictures() -> None:
    names = [f"{i:05d} " + '<"&' * 300 for i in range(1200)]
    evaluation = make.single(names, 2400, right=0.3)
    files = [case.file for case in (*evaluation.mistakes, *evaluation.hits)]
    huge = dict.fromkeys(files, b"\xff\xd8" + b"x" * 15_000)
    lots = tuple((f"{name}.jpg", "'" * 5000) for name in names)
    report = make.report(evaluation, skipped=lots, notes=tuple(why for _, why in lots), name='"' * 9000)
    html = render(report, huge)
    assert len(html.encode()) <= MOST_BYTES
    assert "1,200 classes shown" in html and "1,200 files shown" in html


def test_the_contact_sheet_shows_each_image_its_views_and_what_they_were_called() -> None:
    sheet = make.sheet(images=4, views=5)
    html = render(REPORTS["cifar"], {}, sheet)
    page = Page(html)
    assert page.open == [] and len(re.findall(r"<img ", html)) == 4 * 6
    for _, plain, views in sheet.rows:
        for view in (plain, *views):
            assert base64.b64encode(view.picture).decode() in html
    assert html.count("<span>airplane 63&nbsp;%</span><span>cat 37&nbsp;%</span>") == 2
    text = "".join(page.text)
    assert "left and right swapped" in text and "What the network was shown" in text
    assert "What the network was shown" not in page_of(REPORTS["cifar"])[0]


def test_a_contact_sheet_of_hostile_names_and_no_pictures_is_text() -> None:
    view = View(picture=b"<svg onload=alert(1)>", target=((NASTY[0], 0.5), (NASTY[1], 0.5)))
    sheet = Sheet(rows=((NASTY[1], view, (view,)),), made_by=((NASTY[0], NASTY[1]),))
    html = render(REPORTS["cifar"], {}, sheet)
    page = Page(html)
    assert page.open == [] and "script" not in {tag for tag, _ in page.tags} and "<svg onload" not in html
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]


def test_at_most_3_mb_with_a_contact_sheet_of_the_largest_pictures() -> None:
    names = [f"{i:05d} " + '<"&' * 300 for i in range(1200)]
    evaluation = make.single(names, 2400, right=0.3)
    huge = b"\xff\xd8" + b"x" * 15_000
    view = View(picture=huge, target=tuple((name, 1.0 / 1200) for name in names))
    rows = tuple((name, view, (view,) * 6) for name in names[:6])
    files = [case.file for case in (*evaluation.mistakes, *evaluation.hits)]
    html = render(make.report(evaluation), dict.fromkeys(files, huge), Sheet(rows=rows, made_by=(("flip", "x"),)))
    assert len(html.encode()) <= MOST_BYTES and "What the network was shown" in html


def test_a_validation_page_warns_and_an_out_of_fold_page_explains() -> None:
    assert "also helped to choose" in page_of(REPORTS["validation-only"])[0]
    assert "Out-of-fold" in page_of(REPORTS["out-of-fold"])[0]
    assert "also helped to choose" not in page_of(REPORTS["clothing"])[0]


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_said_in_words(name: str) -> None:
    assert WORDING[name].label and WORDING[name].meaning


def test_figures_of_the_training_images_are_called_that() -> None:
    seen = make.single(make.CLOTHING, 200, part="train")
    assert "learnt from these very images" in page_of(make.report(seen))[0]


def test_curves_only_where_there_was_training() -> None:
    assert "How it learnt" in page_of(REPORTS["cifar"])[0]
    assert "How it learnt" not in page_of(REPORTS["clothing"])[0]


def test_a_chosen_model_stands_among_the_others_and_the_chart_shows_all_that_were_judged() -> None:
    html, page = page_of(REPORTS["chosen"])
    told = REPORTS["chosen"].selection
    assert told is not None and told.reason in html
    for number, each in enumerate(told.candidates, start=1):
        assert f"{number}. {each.name}" in page.text
    numbers = re.findall(r'<circle cx="[\d.]+" cy="[\d.]+" r="[\d.]+"/><text[^>]*>(\d+)</text>', html)
    assert numbers == [str(n) for n, each in enumerate(told.candidates, start=1) if each.score is not None]
    assert html.count('<g class="chosen">') == 1 and ">limit</text>" in html
    assert "fieldmark choose DATA" in html and "fieldmark train DATA" not in html
    assert "Why this model" not in page_of(REPORTS["clothing"])[0]


def test_energy_has_a_column_only_where_it_was_measured() -> None:
    report = REPORTS["chosen"]
    assert report.selection is not None and "mJ</th>" not in page_of(report)[0]
    first, *rest = report.selection.candidates
    measured = msgspec.structs.replace(first, energy_mj=41.3)
    told = msgspec.structs.replace(report.selection, candidates=(measured, *rest))
    assert "mJ</th>" in (html := page_of(msgspec.structs.replace(report, selection=told))[0]) and "41.3" in html


def test_one_candidate_alone_has_no_chart() -> None:
    told = make.selection(candidates=make.selection().candidates[:1])
    html, _ = page_of(make.report(make.single(make.CLOTHING, 60), selection=told))
    assert "Why this model" in html and "tradeoff" not in html.partition("</style>")[2]


def test_hostile_candidates_are_text() -> None:
    for nasty in NASTY:
        hostile = make.candidate(nasty, "failed", 200, 3.0, 1.0, nasty, model=nasty, head=nasty)
        told = make.selection(candidates=(*make.selection().candidates, hostile), reason=nasty, rule=nasty)
        page = Page(render(make.report(make.single(make.CLOTHING, 60), selection=told), {}))
        assert page.open == [] and "script" not in {tag for tag, _ in page.tags}


def test_terminal_lines_are_plain_and_short(drawn: tuple[Report, str, Page]) -> None:
    for label, figure in summary_lines(drawn[0]):
        assert label and figure and len(label) + len(figure) < 90 and "\n" not in label + figure
