"""The public verb `export`: a bundle in, one for each form out. It reads from top to bottom."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from fieldmark.bundle.checksums import read_sums
from fieldmark.bundle.layout import name_of
from fieldmark.bundle.reading import Bundle, open_bundle
from fieldmark.bundle.schema import Decision, Proof, Variant
from fieldmark.bundle.writing import seal, staged
from fieldmark.conversion.dividing import Division, divide
from fieldmark.conversion.exported import Exported
from fieldmark.conversion.measuring import cost
from fieldmark.conversion.proving import prove, readable, why_not
from fieldmark.conversion.quiet import quiet
from fieldmark.conversion.row import FORMS, Form, Source, Written, missing
from fieldmark.cores import available_cores, instruction_sets
from fieldmark.data.dataset import Dataset
from fieldmark.data.loading import load_readable
from fieldmark.data.reading import read
from fieldmark.errors import BundleError, FieldmarkError, MissingExtra, ParityError, UsageError
from fieldmark.inference.canaries import record
from fieldmark.inference.classifier import Classifier, ready
from fieldmark.inference.deciding import fit_decision, weights_for
from fieldmark.inference.execution import Execution, for_many, for_one
from fieldmark.inference.runner import Runner
from fieldmark.measures.outcomes import Floats
from fieldmark.progress import Progress, about, silent

BATCH = 32


class Broken(ParityError):
    """A bound that a form does not keep, with the proof that says so; None where there is not even a file."""

    def __init__(self, why: str, proof: Proof | None) -> None:
        super().__init__(
            why,
            where=proof.images if proof else "the converter",
            do="take another form; or train longer: unsure answers flip first",
        )
        self.proof = proof


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """The float32 graph, the images that judge, and what it says of them."""

    classifier: Classifier
    division: Division
    data: Dataset
    said: Floats


def export(
    bundle: str | Path,
    data: Dataset | str | Path,
    *,
    to: Sequence[str],
    out: str | Path | None = None,
    unproven: bool = False,
    progress: Progress = silent,
    told: Callable[[tuple[Exported, ...]], None] | None = None,
) -> tuple[Exported, ...]:
    """Write `bundle` in each of the forms `to`, as a bundle NAME-FORM.fieldmark in the folder `out` (default: where
    `bundle` is), where it answers as the float32 graph does on images of `data` that it did not learn from.

    Give `data` as it was when the bundle was trained. A form that breaks a bound is not written, and says why: of
    float32 every answer has to be alike (but for ties), of what is rounded 98.5 %, with at most 0.5 points of
    accuracy (several labels: mAP) lost. Forms that nothing here can run are written with `unproven` alone.
    All forms may take an hour: after each one `told` is called with those that are done.

    Raises UnknownName, MissingExtra, UsageError, DataError, BundleError, OutputError.
    """
    opened = open_bundle(bundle)
    forms = {name: FORMS[name] for name in to}
    _refuse(forms, opened, unproven)
    place = opened.path.resolve().parent if out is None else Path(out)
    if place.parent.is_dir():
        place.mkdir(exist_ok=True)
    data = data if isinstance(data, Dataset) else read(data, progress=progress)
    division = divide(data, opened.manifest)
    classifier = ready(opened, for_one(available_cores(), opened.manifest.geometry.size_px))
    judging, said = readable(classifier, division.proving, about(progress, "the float32 graph"))
    reference = _Reference(classifier=classifier, division=division, data=judging, said=said)
    done: tuple[Exported, ...] = ()
    for name, form in forms.items():
        done = (*done, _export(name, form, reference, place, progress))
        if told:
            told(done)
    return done


def _refuse(forms: dict[str, Form], bundle: Bundle, unproven: bool) -> None:
    if bundle.manifest.variant is not None:
        raise UsageError(
            f"this bundle is an export itself ({bundle.manifest.variant.format})",
            where=str(bundle.path),
            do="export the bundle that it was made from",
        )
    for name, form in forms.items():
        if absent := missing(form):
            raise MissingExtra(
                f"{name} is written with {' and '.join(absent)}, not installed here",
                where=f"--to {name}",
                do=form.install,
            )
        if not form.provable and form.runner:
            raise UsageError(
                f"this processor has no {form.asked_of_processor}, so {name} cannot be proven here",
                where=f"--to {name}",
                do="export it on a machine whose processor has it (lscpu shows avx512_bf16)",
            )
        if not form.provable and not unproven:
            raise UsageError(
                f"nothing on this kind of machine runs {name}, so it cannot be proven here",
                where=f"--to {name}",
                do="give --unproven to have it all the same, and prove it by its canaries where it will run",
            )


def _export(name: str, form: Form, reference: _Reference, place: Path, progress: Progress) -> Exported:
    bundle = reference.classifier.bundle
    out = place / f"{name_of(bundle.path)}-{name}.fieldmark"
    progress(f"writing {name}", 0, 1)
    try:
        with staged(out) as folder:
            _copy(bundle, folder)
            written = _written(form, bundle, reference.division, folder)
            progress(f"writing {name}", 1, 1)
            done = _proven(name, form, written, folder, reference, progress)
    except Broken as broken:
        return Exported(form=name, bundle=None, why=broken.what, proof=broken.proof, cost=None, notes=())
    except BundleError as error:  # of what was written: the bundle itself is open
        why = f"it does not run here: {' '.join(error.what.split())}"
        return Exported(form=name, bundle=None, why=why, proof=None, cost=None, notes=())
    return msgspec.structs.replace(done, bundle=str(out))


def _copy(bundle: Bundle, folder: Path) -> None:
    for file in read_sums(bundle.path):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / file, folder / file)


def _written(form: Form, bundle: Bundle, division: Division, folder: Path) -> Written:
    source = Source(
        manifest=bundle.manifest,
        graph=bundle.graph,
        calibration=division.calibration,
        held_back=division.held_back,
    )
    try:
        with quiet():
            return form.write(source, folder)
    except (FieldmarkError, OSError, MemoryError):  # a full disk is not the converter's
        raise
    except Exception as error:
        # Converters raise whatever they like, and the other forms shall be written all the same.
        said = traceback.format_exception_only(error)[0].splitlines()[0]
        raise Broken(f"it cannot be converted: {said}", None) from error


def _proven(
    name: str, form: Form, written: Written, folder: Path, reference: _Reference, progress: Progress
) -> Exported:
    """Seals `folder` with what was proven; Broken where it was not."""
    bundle = reference.classifier.bundle
    variant = Variant(
        format=name,
        files=written.files,
        runner=form.runner,
        instructions=instruction_sets().get(form.asked_of_processor, ""),
        decision=bundle.manifest.decision,
        canaries=(),
        proof=None,
        notes=(*written.notes, *reference.division.notes),
    )
    if not form.provable:
        seal(folder, msgspec.structs.replace(bundle.manifest, variant=variant))
        return Exported(form=name, bundle=None, why="", proof=None, cost=None, notes=variant.notes)
    alone, many = (_opened(form, folder, variant, bundle, execution) for execution in _executions(form, bundle))
    if form.precision == "int8" and len(reference.division.fitting):
        decision = _fitted_again(alone, reference.division.fitting)
        variant = msgspec.structs.replace(variant, decision=decision)
        alone, many = (_deciding(each, decision) for each in (alone, many))
    _, said = readable(many, reference.data, about(progress, name))
    proof = prove(said, reference.said, (alone, reference.classifier), reference.data, reference.division.named)
    if why := why_not(proof, form.precision):
        raise Broken(why, proof)
    canaries = tuple(each.probabilities for each in record(alone, [each.file for each in bundle.manifest.canaries]))
    variant = msgspec.structs.replace(variant, canaries=canaries, proof=proof)
    seal(folder, msgspec.structs.replace(bundle.manifest, variant=variant))
    found = cost(
        alone,
        many,
        [folder / file for file in written.files],
        (reference.data.path(row) for row in range(len(reference.data))),
        light=bool(form.runner),
    )
    return Exported(form=name, bundle=None, why="", proof=proof, cost=found, notes=variant.notes)


def _executions(form: Form, bundle: Bundle) -> tuple[Execution, Execution]:
    """For one image, and for many; what the light half does not run is not known to be safe for two threads."""
    cores, side = available_cores(), bundle.manifest.geometry.size_px
    one = for_one(cores, side, form.runner or None)
    if form.runner:
        return one, for_many(cores, side, form.runner)
    return (msgspec.structs.replace(one, workers=1),) * 2


def _opened(form: Form, folder: Path, variant: Variant, bundle: Bundle, execution: Execution) -> Classifier:
    bundle = replace(bundle, path=folder, graph=folder / variant.files[0])
    if form.infer is None:
        return ready(bundle, execution)
    manifest = bundle.manifest
    with quiet():
        runner = Runner(
            path=bundle.graph,
            infer=form.infer(bundle.graph),
            size_px=manifest.geometry.size_px,
            embedding_size=manifest.embedding_size,
            n_classes=len(manifest.classes),
        )
    return Classifier(bundle=bundle, runner=runner, execution=execution)


def _fitted_again(classifier: Classifier, fitting: Dataset) -> Decision:
    """Rounding changes how sure a network is, so probabilities are calibrated anew, on validation images."""
    manifest = classifier.bundle.manifest
    pixels, rows = load_readable((fitting.path(row) for row in range(len(fitting))), manifest.geometry)
    logits = np.concatenate([classifier.run(pixels[at : at + BATCH])[1] for at in range(0, len(pixels), BATCH)])
    targets = fitting.targets[rows]
    weights = weights_for(manifest.recipe.get("prior"), targets, manifest.task)
    return fit_decision(logits, targets, manifest.task, weights)


def _deciding(classifier: Classifier, decision: Decision) -> Classifier:
    bundle = classifier.bundle
    return replace(
        classifier, bundle=replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, decision=decision))
    )
