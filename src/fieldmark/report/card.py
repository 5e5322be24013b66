"""README.md of a bundle: a model card in the form that model hubs read, front matter first."""

from __future__ import annotations

import functools
import json
import re
import shlex
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.report.evidence import judged
from fieldmark.report.origin import built, proven_by, terms
from fieldmark.report.report import Report
from fieldmark.report.terminal import SUMMARY, headline, seen_how
from fieldmark.report.wording import printable, say, wording

# Licences by the names that hubs file them under; any other is "other", with its own name beside it.
FILED_AS = ("apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0", "openrail")
MARKDOWN = re.compile(r"([\\`*_\[\]#|~])")


def model_card(report: Report) -> str:
    """Markdown with YAML front matter: what it is, how good with which doubt, data, weights, limits, and how to use
    it with Fieldmark or with onnxruntime alone. Every text from outside is escaped; same report, same bytes."""
    manifest = report.manifest
    return (
        _environment()
        .get_template("card.md")
        .render(
            manifest=manifest,
            geometry=manifest.geometry,
            evaluation=judged(report),
            headline=headline(report),
            front=_front_matter(report),
            folder=printable(manifest.name) + ".fieldmark",
            seen_how=seen_how,
            say=say,
            wording=wording,
            built=built(manifest),
            terms=terms(manifest),
            proven=proven_by(manifest),
        )
    )


def _front_matter(report: Report) -> dict[str, Any]:
    manifest, evaluation = report.manifest, judged(report)
    front: dict[str, Any] = _licence(manifest.weights.licence) | {
        "library_name": "fieldmark",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "fieldmark", "onnx", *(["multi-label"] if manifest.task == "multi" else [])],
    }
    if evaluation is not None and (measured := _measured(evaluation)):
        front["metrics"] = [metric["type"] for metric in measured]
        front["model-index"] = [
            {
                "name": printable(manifest.name),
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {"name": f"{printable(manifest.name)} ({evaluation.part})", "type": "private"},
                        "metrics": measured,
                    }
                ],
            }
        ]
    return front


def _licence(name: str) -> dict[str, str]:
    if not name:
        return {}
    if name.lower() in FILED_AS:
        return {"license": name.lower()}
    return {"license": "other", "license_name": printable(name)}


def _measured(evaluation: Evaluation) -> list[dict[str, Any]]:
    chosen = ((name, evaluation.figures.get(name)) for name in SUMMARY[evaluation.task])
    return [
        {"type": name, "name": wording(name).label, "value": round(estimate.value, 6)}
        for name, estimate in chosen
        if estimate is not None and estimate.value is not None
    ]


def escaped(text: str) -> str:
    """Plain text inside Markdown: nothing in it is a link, a tag, a table cell or emphasis."""
    safe = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return MARKDOWN.sub(r"\\\1", safe)


@functools.cache
def _environment() -> Environment:
    # No autoescape: the card is Markdown, so each text from outside goes through `escaped`.
    environment = Environment(
        loader=FunctionLoader(lambda name: resources.files("fieldmark.report").joinpath(name).read_text("utf-8")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "code": lambda text: printable(text).replace("`", "'"),
        "escaped": escaped,
        "json": lambda value: json.dumps(value, ensure_ascii=False),
        "python": repr,
        "shell": shlex.quote,
    }
    return environment
