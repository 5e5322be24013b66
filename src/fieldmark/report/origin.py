"""What a bundle is made of, in words: its parts, whom it learnt from, and the command that makes it again."""

from __future__ import annotations

import shlex

from fieldmark.bundle.parents import descent
from fieldmark.bundle.schema import Manifest


def built(manifest: Manifest) -> str:
    """Half a sentence for a person who wants to know what is inside."""
    names = [parent.name for parent in manifest.parents]
    match manifest.method:
        case "probe":
            how = "its features were taken as they are, the head was fitted to them"
            return f"{manifest.model} with head {manifest.head}; {how}"
        case "network":
            taught = f", taught by {names[0]}" if names else ""
            return f"{manifest.model} with head {manifest.head}; encoder and head were trained together{taught}"
        case "ensemble":
            return f"an ensemble, the mean of what {', '.join(names[:-1])} and {names[-1]} say ({manifest.model})"
        case "cascade":
            return f"a cascade: {names[0]} answers, and asks {names[1]} where it is not sure ({manifest.model})"


def proven_by(manifest: Manifest) -> str:
    """What the exported graph was held against before it was shipped."""
    return "its members apart" if manifest.method in ("ensemble", "cascade") else "the trained model"


def terms(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """(name, licence of its starting weights) of every bundle that this one was made from; "none" where there were
    no weights, "not stated" where there were."""
    return tuple(
        (each.name, "none" if each.weights.source == "none" else each.weights.licence or "not stated")
        for each in descent(manifest)
    )


def reproduce(manifest: Manifest, *, chosen: bool = False) -> str:
    """The command that makes this bundle again from the same data: what was asked for, as flags. `chosen`:
    among several models, by `fieldmark choose`."""
    settings = (f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in manifest.asked.items())
    verb = "choose DATA" if chosen else "train DATA"
    if manifest.method in ("ensemble", "cascade"):
        bundles = (shlex.quote(f"{each.name}.fieldmark") for each in manifest.parents)
        verb = f"combine {' '.join(bundles)} DATA"
    return " ".join([f"fieldmark {verb}", f"--out {shlex.quote(manifest.name + '.fieldmark')}", *settings])
