"""Which of a bundle's graphs answers on this machine: its variant where that can be trusted, else the float32 one."""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from fieldmark.bundle.reading import Bundle
from fieldmark.bundle.schema import Variant
from fieldmark.cores import instruction_sets
from fieldmark.inference.runners import installed


def on_this_machine(bundle: Bundle, *, runner: str | None = None) -> Bundle:
    """`bundle` with the graph, decision and canaries that answer here, by `runner` where that is asked for.

    Its notes say why a variant is left alone.
    """
    variant = bundle.manifest.variant
    if variant is None:
        return replace(bundle, runner=runner)
    if why := _why_not(variant, runner):
        said = f"the float32 graph answers, not its {variant.format} form: {why}"
        return replace(bundle, runner=runner, notes=(*bundle.notes, said))
    canaries = tuple(
        structs.replace(canary, probabilities=probabilities)
        for canary, probabilities in zip(bundle.manifest.canaries, variant.canaries)
    )
    manifest = structs.replace(bundle.manifest, decision=variant.decision, canaries=canaries)
    return replace(bundle, manifest=manifest, graph=bundle.path / variant.files[0], runner=variant.runner)


def _why_not(variant: Variant, runner: str | None) -> str:
    here = instruction_sets().values()
    if not variant.runner:
        return "it is for other programs"
    if runner not in (None, variant.runner):
        return f"{runner} was asked for, and it was proven with {variant.runner}"
    if variant.runner not in installed():
        return f"{variant.runner} is not installed here (pip install 'fieldmark[{variant.runner}]')"
    if variant.instructions not in ("", *here):
        return f"it was proven on {variant.instructions}, and this is {', '.join(here)}"
    return ""
