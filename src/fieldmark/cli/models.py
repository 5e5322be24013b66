"""`fieldmark models`: what can be trained here, and what it costs to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from fieldmark.cli.console import json_option, showing_progress, warn, write_json
from fieldmark.encoders.catalogue import Bounds, Model, families, our_models, within
from fieldmark.heads.row import HEADS
from fieldmark.report.wording import size
from fieldmark.units import count, milliseconds, size_in_bytes

KINDS = {"models": "--model", "families": "--model", "heads": "--head", "timm": "--model, from timm"}


@click.command("models", short_help="Encoders and heads that can be trained")
@click.argument("text", default="")
@click.option("--family", metavar="NAME", help="Models of one family, as in mobilenet, resnet, vit, yolo.")
@click.option("--max-parameters", metavar="N", help="Models with at most so many parameters, as in 5M.")
@click.option("--max-size", metavar="SIZE", help="Models of at most so many bytes in float32, as in 20MB.")
@click.option(
    "--max-flops",
    metavar="N",
    help="Models with at most so many multiply-adds an image, at their own size: 600M, 1G.",
)
@click.option(
    "--max-latency", metavar="TIME", help="Models that answer within a time, as in 20ms; implies --measure."
)
@click.option("--licence", metavar="NAME", help="Models whose published weights have a licence: apache-2.0; or none.")
@click.option("--measure", is_flag=True, help="Measure each model's latency on this machine, once (seconds each).")
@json_option
def command(
    text: str,
    family: str | None,
    max_parameters: str | None,
    max_size: str | None,
    max_flops: str | None,
    max_latency: str | None,
    licence: str | None,
    measure: bool,
    as_json: bool,
) -> None:
    """List encoders (--model) and heads (--head). With TEXT, those whose name or description has it, and every timm
    backbone whose name has it: `fieldmark models mobilenet`. Filters show what each model costs:
    `fieldmark models --family mobilenet --max-parameters 5M --max-flops 1G`."""
    bounds = Bounds(
        family=family,
        parameters=count(max_parameters, where="--max-parameters") if max_parameters else None,
        size_bytes=size_in_bytes(max_size, where="--max-size") if max_size else None,
        multiply_adds=count(max_flops, where="--max-flops") if max_flops else None,
        latency_ms=milliseconds(max_latency, where="--max-latency") if max_latency else None,
        licence=licence,
    )
    costs = bounds.any or measure
    found: dict[str, Sequence[Model]] = {
        "models": within(_having(text, our_models()), bounds),
        "families": within(_having(text, families()), bounds),
        "timm": within(_timm(text, bounds, costs), bounds) if text else [],
    }
    if measure or bounds.latency_ms is not None:
        found = _measured(found, bounds)
    heads = [] if costs else _heads(text)
    if as_json:
        shown = {kind: [_record(model) for model in models] for kind, models in found.items()}
        write_json({**shown, "heads": heads})
        return
    _show(found, heads, costs)
    if not any(found.values()) and not heads:
        click.echo("no model keeps to all of this" if costs else f"nothing has {text!r} in its name or description")
    elif not text and not costs:
        click.echo("\nseveral fixed encoders go together: --model hog+colour")
        click.echo("any timm backbone goes by its name: fieldmark models mobilenet", err=True)
        click.echo("what they cost: fieldmark models --max-parameters 5M --max-flops 1G", err=True)


def _having(text: str, models: Sequence[Model]) -> list[Model]:
    wanted = text.lower()
    return [each for each in models if any(wanted in word.lower() for word in (each.name, each.family, each.summary))]


def _heads(text: str) -> list[dict[str, str]]:
    wanted = text.lower()
    return [{"name": n, "summary": s} for n, s in HEADS.listing() if wanted in n.lower() or wanted in s.lower()]


def _timm(text: str, bounds: Bounds, costs: bool) -> list[Model]:
    """timm's own names with `text` in them; counted where that is asked."""
    try:
        from fieldmark.encoders.zoo import zoo_names
    except ModuleNotFoundError:
        click.echo("timm's backbones are listed where the train extra is: pip install 'fieldmark[train]'", err=True)
        return []
    listed = {model.name for model in families()}
    names = [name for name in zoo_names() if text.lower() in name.lower() and name not in listed]
    if not costs:
        return [_uncounted(name) for name in names]
    if bounds.family is not None:
        warn(f"{len(names)} more of timm's networks have {text!r} in their names; of these no family is known")
        return []
    from fieldmark.encoders.counting import counted

    with showing_progress() as progress:
        models, refused = counted(names, progress)
    for name, why in refused.items():
        warn(f"{name} could not be counted: {why}")
    return models


def _uncounted(name: str) -> Model:
    return Model(name=name, summary="", family="", size_px=0, parameters=0, multiply_adds=0, licence="")


def _measured(found: dict[str, Sequence[Model]], bounds: Bounds) -> dict[str, Sequence[Model]]:
    from fieldmark.training.model_latency import measured

    shown: dict[str, Sequence[Model]] = {}
    with showing_progress() as progress:
        for kind, models in found.items():
            timed, refused = measured(models, progress)
            shown[kind] = within(timed, bounds)
            for name, why in refused.items():
                warn(f"{name} could not be measured: {why}")
    return shown


def _record(model: Model) -> dict[str, Any]:
    whole = {**asdict(model), "size_bytes": model.size_bytes}
    return whole if model.size_px else {"name": model.name, "summary": model.summary}


def _show(found: dict[str, Sequence[Model]], heads: list[dict[str, str]], costs: bool) -> None:
    shown = {**found, "heads": heads}
    for kind, flag in KINDS.items():
        if not shown[kind]:
            continue
        click.secho(f"{kind} ({flag})", bold=True)
        if kind == "heads":
            for head in heads:
                click.echo(f"  {head['name']:<28} {head['summary']}".rstrip())
        elif costs:
            _show_costs(found[kind])
        else:
            for model in found[kind]:
                family = f"{model.family}: " if kind == "families" else ""
                click.echo(f"  {model.name:<28} {family}{model.summary}".rstrip())


def _show_costs(models: Sequence[Model]) -> None:
    latency = any(model.latency_ms is not None for model in models)
    heading = f"  {'':<30} {'px':>4} {'params':>8} {'float32':>8} {'mult-adds':>9}"
    click.secho(heading + (f" {'latency':>9}" if latency else "") + "  licence of weights", dim=True)
    for model in models:
        measured = f" {model.latency_ms:>6.3g} ms" if model.latency_ms is not None else ""
        click.echo(
            f"  {model.name:<30} {model.size_px:>4} {_short(model.parameters):>8} {size(model.size_bytes):>8} "
            f"{_short(model.multiply_adds):>9}{measured}  {model.licence or 'no weights'}"
        )


def _short(number: int) -> str:
    """11176512 -> "11.2M"."""
    for unit, per in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= per:
            return f"{number / per:.3g}{unit}"
    return str(number)
