"""The model card of an export: what a reader who has never seen the run needs to know before trusting its samples."""

import numpy as np

from sciddm.runs import Run


def model_card(run: Run, model, name: str) -> str:
    """Markdown: what the model is of, how well it was trained, what it answers, how it is loaded, and what is not known.

    model: of the run, for the words of its tasks; name: of the folder.
    """
    meta, data, begun = run.meta, run.meta["config"]["data"], ""
    versions = ", ".join(f"{package} {version}" for package, version in meta["versions"].items())
    where = f"`{data['path']}`, on the machine that trained" if data.get("path") else "made or shipped by the domain, see `config.json`"
    said = {key: value for key, value in sorted(data.items()) if key not in ("cache", "path") and not isinstance(value, dict)}
    settings = ", ".join(f"{key} = {value}" for key, value in said.items() if value not in ("", None, [], ()))
    if origin := meta.get("init_from"):
        begun = f", begun with the weights of `{origin['path']}`, step {origin['step']:,}"
    return f"""# {name}

A diffusion model of sciddm: domain `{meta["config"]["domain"]}`, {run.parameters:,} parameters, averaged weights in float32.

## What it is a model of

{_variables(meta["normalizer"])}

Samples have the shape {_shapes(model.domain.example)}, in these units.

## Training

{run.step:,} steps, in which {run.samples_seen:,} samples were seen of the {meta["samples"]:,} there are, in {run.minutes:.1f} minutes of \
training{begun}.

Verdict: {_verdict(run)}

{_held_out(run)}

Data: {where}. Settings: {settings or "none"}. Who measured or made the data, and under which terms, is not recorded: add it here.

## What it answers

{_tasks(model)}

```bash
sciddm sample --workdir {name} --count 16
```

```python
import sciddm as sd

model = sd.load("{name}")
samples = model.sample(0, 16)
```

The domain's own code must be there: `{meta["config"]["domain"]}`. Further training begins with `sciddm train --init-from {name}`.

## Limits

The model knows what it was trained on and nothing else. Its samples are draws of an approximation: compare with held-out data
(`sciddm evaluate`) before a result is believed.

## Files, versions, licence

`model.safetensors`: weights. `model.json`: normaliser, config and training record, with the checksum of the weights. `config.json`: the
config as it was resolved. No file holds code; none is unpickled.

Made with {versions}; code {meta["git_revision"] or "outside of a checkout"}.

Licence of the weights: not chosen yet. Whoever hands the model on writes it here; the licence of the data may bind it.
"""


def _tasks(model) -> str:
    # tasks that take the same are named together: the words may be long
    takes = {}
    for name in sorted(model.domain.tasks):
        takes.setdefault(" ".join(model.task(name).takes.split()), []).append(f"`{name}`")
    lines = [f"- {', '.join(names)}: `--given` takes {words}" for words, names in takes.items()]
    return "\n".join(lines) or "Samples alone: it has no tasks."


def _variables(normalizer: dict) -> str:
    # a row a variable: those of one array are named in its units, "u [m s-1], v [m s-1]", where its statistics are one each
    rows = ["| variable | mean | standard deviation |", "|---|---|---|"]
    for leaf, row in normalizer.items():
        if not {"mean", "std", "units"} <= set(row):  # what a domain keeps beside
            continue
        names = [one.strip() if "[" in one else f"{leaf or 'x'} [{one.strip()}]" for one in str(row["units"]).split(",")]
        mean, std = np.ravel(row["mean"]), np.ravel(row["std"])
        if len(names) == len(mean) == len(std):
            rows += [f"| {one} | {m:.4g} | {s:.4g} |" for one, m, s in zip(names, mean, std, strict=True)]
        else:
            rows.append(f"| {leaf or 'x'} [{row['units']}] | {mean.mean():.4g} | {std.mean():.4g} |")
    return "\n".join(rows)


def _shapes(example) -> str:
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(example)
    return ", ".join(" ".join([f"`{jax.tree_util.keystr(path)}`"] * bool(path) + [str(tuple(leaf.shape))]) for path, leaf in leaves)


def _verdict(run: Run) -> str:
    return f"undertrained: {'; '.join(run.verdict.reasons)}." if run.verdict.undertrained else "nothing speaks against its training."


def _held_out(run: Run) -> str:
    if not run.looks:
        return "Held-out loss: not recorded."
    last = run.looks[-1]
    head, values = " | ".join(last["levels"]), " | ".join(f"{loss:.3g}" for loss in last["levels"].values())
    return f"""Held-out loss at step {last["step"]:,}: {last["loss"]:.4g} ± {last["error"]:.2g}, of {len(last["each"])} samples; smaller \
is better. By noise level, sigma / alpha:

| {head} |
|{"---|" * len(last["levels"])}
| {values} |"""
