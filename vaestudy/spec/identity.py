"""What makes two studies the same: a hash, a dump that reads back, the differences."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML

from vaestudy.spec.models import Study

SECTIONS = ("workloads", "train", "methods", "shared_search", "search", "seed", "plugins")
"""The sections in which a change changes numbers."""

GROWS = ("trials", "replicates")
"""Of ``search``: more of them leave the numbers of what has run as they are."""

SAMPLES = ("elbo_samples", "iwae_samples", "weight_draws")
"""How many draws the test scores rest on."""

ABSENT = "(absent)"


def study_hash(study: Study) -> str:
    """16 hexadecimal digits of everything that changes a number; what may grow is not in it: ``search.trials`` and
    ``search.replicates``."""
    tree = study.model_dump(by_alias=True)
    counted = {key: tree[key] for key in SECTIONS}
    counted["search"] = {key: value for key, value in tree["search"].items() if key not in GROWS}
    counted |= {key: tree["confirm"][key] for key in SAMPLES}
    counted["population"] = study.resources.population
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def dump_study(study: Study) -> str:
    """The study as YAML, every value written out; ``load_study`` reads an equal one back."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None  # leaves on one line
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared as None only
    yaml.allow_unicode = False
    yaml.width = 110
    out = io.StringIO()
    yaml.dump(json.loads(json.dumps(study.model_dump(by_alias=True, exclude_none=True))), out)
    return out.getvalue()


def differences(old: Study, new: Study) -> list[str]:
    """What changed between two studies, a line each: ``train.epochs: 60 -> 80``."""
    before, after = (
        {".".join(map(str, path)): value for path, value in leaves(study.model_dump(by_alias=True, exclude_none=True))}
        for study in (old, new)
    )
    return [
        f"{key}: {_shown(before.get(key, ABSENT))} -> {_shown(after.get(key, ABSENT))}"
        for key in [*before, *(key for key in after if key not in before)]
        if before.get(key, ABSENT) != after.get(key, ABSENT)
    ]


def leaves(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The values of a dumped study with their paths; a list of plain values is one value."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, (tuple, list)) and any(isinstance(item, Mapping) for item in tree):
        for index, item in enumerate(tree):
            yield from leaves(item, (*path, index))
    else:
        yield path, tree


def _shown(value: Any) -> str:
    return str(list(value)) if isinstance(value, (tuple, list)) else str(value)
