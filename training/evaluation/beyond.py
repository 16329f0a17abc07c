"""The metrics of lists.py and genres.py over every system: the `lists` part of an evaluation's JSON."""

from collections.abc import Mapping

from training.evaluation.background import OBVIOUS, Background
from training.evaluation.genres import genre_kl, list_profiles
from training.evaluation.lists import PER_LIST, diversity, exposures, gini, novelty, self_information, serendipity
from training.evaluation.metrics import Lists, PerTarget, Targets
from training.evaluation.pairs import mean_known

K = 10


def list_values(slates: Mapping[str, Lists], targets_T: Targets, known: Background) -> dict[str, dict[str, PerTarget]]:
    """PER_LIST by system, one value a target; metrics that known.left_out explains are not there."""
    bits = self_information(known.interactions)
    found: dict[str, dict[str, PerTarget]] = {}
    for system, lists in slates.items():
        values = {"novelty@10": novelty(lists, bits, K)}
        if known.content is not None:
            values["diversity@10"] = diversity(lists, known.content, K)
        if all(name in slates for name in OBVIOUS):
            values["serendipity@10"] = serendipity(lists, targets_T, [slates[name] for name in OBVIOUS], K)
        if known.shares is not None and known.tastes is not None:
            values["genre_kl@10"] = genre_kl(known.tastes, list_profiles(lists, known.shares, K))
        found[system] = {name: values[name] for name in PER_LIST if name in values}
    return found


def lists_summary(
    slates: Mapping[str, Lists], values: Mapping[str, Mapping[str, PerTarget]], known: Background
) -> dict[str, dict[str, float | None]]:
    """LIST_METRICS by system: means over the targets that have a value, None where none has or left_out says why."""
    rows = known.catalogue + 1
    return {
        system: {
            "gini@10": gini(exposures(lists, K, rows)[1:]),
            **{name: mean_known(values[system].get(name)) for name in PER_LIST},
        }
        for system, lists in slates.items()
    }


def left_out(slates: Mapping[str, Lists], known: Background) -> dict[str, str]:
    """Why a metric has no number, by its name."""
    missing = [name for name in OBVIOUS if name not in slates]
    reasons = dict(known.left_out)
    if missing:
        reasons["serendipity@10"] = f"needs the lists of {' and '.join(OBVIOUS)}; {missing[0]} did not run"
    return reasons
