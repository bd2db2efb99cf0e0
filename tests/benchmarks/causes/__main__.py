"""``make fit``: magnitudes and temperatures from the develop half of the zoo into the package's data file, and a table.

``--jobs``: processes. ``--dry``: print, and write nothing.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.causes import fitting
from benchmarks.causes.cases import Case
from benchmarks.causes.kept_cases import collect
from benchmarks.detection import kept
from losswatch_server.monitor.diagnosis import magnitudes
from losswatch_server.monitor.diagnosis.engine import PLAINLY
from losswatch_server.monitor.diagnosis.evidence import ROWS
from losswatch_server.monitor.diagnosis.evidence.row import Grade

PACKAGE = Path(magnitudes.__file__).parent / magnitudes.FILE
TABLE = Path(__file__).parent / "results.md"
STRENGTHS = (3.0, 10.0)
"""How many runs the prior is worth. Below 3 rare causes (5 runs without an activation) are given up for common ones."""
LEAST_RUNS = 5
LEAST_CHANGE = 0.1
LEAST_FOR_TEMPERATURE = 20


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="benchmarks.causes", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    files = kept.files("develop", kept.SIZE["develop"])
    cases = list(collect(files, arguments.jobs))
    data = fitting.design(cases)
    grades = fitting.left_out(cases, data, None)
    tried = {strength: fitting.left_out(cases, data, strength) for strength in STRENGTHS}
    likely = {strength: fitting.neg_log_likelihood(total, data) for strength, total in tried.items()}
    best = min(likely, key=likely.__getitem__)
    worth = fitting.neg_log_likelihood(grades, data)
    gains = likely[best] < worth
    total = tried[best] if gains else grades
    fitted = fitting.fit(data, best) if gains else fitting.BY_GRADE
    lines = [
        "# How much evidence tells: the fit",
        "",
        f"{len({c.run for c in cases})} faulty runs of {len({c.family for c in cases})} families, each as logged and "
        f"re-logged ({len(cases)} cases); families left out in turn. Written by `make fit`; develop half only.",
        "",
        "| magnitudes | negative log-likelihood | cause first, strictly | among three |",
        "|---|---|---|---|",
        row("grades", worth, grades, data),
        *(row(f"fitted, prior worth {s:g}", likely[s], tried[s], data) for s in STRENGTHS),
        "",
        f"Used: {'fitted, prior worth ' + format(best, 'g') if gains else 'the grades; fitting gained nothing'}.",
    ]
    heat = temperatures(cases, data, total)
    warm = np.array([heat.of(c) for c in cases])
    lines += (
        owed(cases, data, total) + by_knowledge(cases, data, total, warm) + by_condition(cases, data, total, warm, heat)
    )
    lines += reliability(cases, data, total, warm) + by_fact(cases, data, total) + by_cause(cases, data, total)
    print("\n".join(lines))
    if not arguments.dry:
        PACKAGE.write_text(json.dumps(document(data, fitted, heat), indent=1, sort_keys=True) + "\n")
        TABLE.write_text("\n".join(lines) + "\n")


def row(name: str, likely: float, total: fitting.Array, data: fitting.Design) -> str:
    """One line of the table of fits."""
    return f"| {name} | {likely:.3f} | {first(total, data):.3f} | {first(total, data, 3):.3f} |"


def first(total: fitting.Array, data: fitting.Design, most: int = 1) -> float:
    """Share of runs whose injected cause is among the first."""
    place = (total > total[np.arange(len(total)), data.truth][:, None]).sum(axis=1)
    return float(data.weight @ (place < most) / data.weight.sum())


@dataclass(frozen=True, slots=True)
class Heat:
    """The temperatures of conditions and of what is known, with how many runs were behind each."""

    conditions: Mapping[str, tuple[float, int]]
    by_knowledge: Mapping[str, tuple[float, int]]

    def of(self, case: Case) -> float:
        """By what the scores of a case are divided."""
        condition, _ = self.conditions.get(case.condition, (1.0, 0))
        return condition * self.by_knowledge[case.knowledge][0]


def temperatures(cases: list[Case], data: fitting.Design, total: fitting.Array) -> Heat:
    """The temperatures that make the left-out probabilities most likely; rare conditions share one of 1."""
    runs = {name: len({c.run for c in cases if c.condition == name}) for name in {c.condition for c in cases}}
    known = {name: len({c.run for c in cases if c.knowledge == name}) for name in {c.knowledge for c in cases}}
    conditions, by_knowledge = fitting.temperatures_of(
        total, data, ([c.condition for c in cases], [c.knowledge for c in cases])
    )
    return Heat(
        {name: (round(t, 2), runs[name]) for name, t in conditions.items() if runs[name] >= LEAST_FOR_TEMPERATURE},
        {name: (round(t, 2), known[name]) for name, t in by_knowledge.items()},
    )


KINDS = {
    "no context": ("no context", "loss alone"),
    "the whole context": ("whole context",),
    "context and facts": ("context and facts",),
    "as logged": ("as is",),
}
"""How much the client sent, and the ways of logging that send so much."""


def owed(cases: list[Case], data: fitting.Design, total: fitting.Array) -> list[str]:
    """What keeps the injected cause from standing first: a run that no rule found, or a ranking that is wrong."""
    lines = [
        "",
        "A run that no rule found has no first cause: what the rules owe, and what the ranking owes.",
        "",
        "| the client sent | cases | found | cause first: of the found | of the missed, had they been found | of all |",
        "|---|---|---|---|---|---|",
    ]
    found, right = np.array([c.found for c in cases]), total.argmax(axis=1) == data.truth
    for name, ways in KINDS.items():
        here = np.array([c.way in ways for c in cases])
        if not here.any():
            continue
        shares = [
            float(data.weight[of] @ what[of] / data.weight[of].sum()) if of.any() else float("nan")
            for of, what in ((here, found), (here & found, right), (here & ~found, right), (here, right & found))
        ]
        lines.append(f"| {name} | {here.sum()} | {' | '.join(f'{share:.2f}' for share in shares)} |")
    return lines


def by_knowledge(cases: list[Case], data: fitting.Design, total: fitting.Array, warm: np.ndarray) -> list[str]:
    """How often the injected cause stands first, by how much the client said."""
    lines = [
        "",
        "| the client sent | cases | cause first, strictly | among three | calibration error |",
        "|---|---|---|---|---|",
    ]
    for name, ways in KINDS.items():
        chosen = np.array([c.way in ways for c in cases])
        if chosen.any():
            d, t = fitting.part(data, chosen), total[chosen]
            p = fitting.probabilities(t, warm[chosen])
            lines.append(
                f"| {name} | {chosen.sum()} | {first(t, d):.2f} | {first(t, d, 3):.2f} | "
                f"{fitting.calibration_error(p, d):.3f} |"
            )
    return lines


def by_condition(
    cases: list[Case], data: fitting.Design, total: fitting.Array, warm: np.ndarray, heat: Heat
) -> list[str]:
    """Temperature and calibration error of each condition."""
    lines = ["", "| condition | runs | temperature | calibration error | cause first |", "|---|---|---|---|---|"]
    for condition in sorted({c.condition for c in cases}):
        chosen = np.array([c.condition == condition for c in cases])
        d, t = fitting.part(data, chosen), total[chosen]
        error = fitting.calibration_error(fitting.probabilities(t, warm[chosen]), d)
        runs = len({c.run for c in cases if c.condition == condition})
        temperature = heat.conditions.get(condition, (1.0, 0))[0]
        lines.append(f"| {condition} | {runs} | {temperature:g} | {error:.3f} | {first(t, d):.2f} |")
    return lines


def reliability(cases: list[Case], data: fitting.Design, total: fitting.Array, warm: np.ndarray) -> list[str]:
    """What was said of the first cause, in fifths, and how often it was right."""
    p = fitting.probabilities(total, warm)
    leader = p[:, :-1].argmax(axis=1)
    said, right = p[np.arange(len(p)), leader], leader == data.truth
    known = sorted({c.knowledge for c in cases})
    lines = [
        "",
        f"| first cause, said | {' | '.join(f'right, {name}' for name in known)} |",
        "|---" * (len(known) + 1) + "|",
    ]
    for fifth in range(5):
        cells = []
        for name in known:
            here = (np.minimum((said * 5).astype(int), 4) == fifth) & np.array([c.knowledge == name for c in cases])
            weight = data.weight[here]
            cells.append(
                f"{weight @ right[here] / weight.sum():.2f} where {weight @ said[here] / weight.sum():.2f} was said "
                f"({here.sum()})"
                if here.any()
                else "-"
            )
        lines.append(f"| {fifth / 5:.1f} to {(fifth + 1) / 5:.1f} | {' | '.join(cells)} |")
    return lines


def by_fact(cases: list[Case], data: fitting.Design, total: fitting.Array) -> list[str]:
    """Which stated facts name a fault, whether they are right, and what is left where none does."""
    lines = [
        "",
        "Where facts were sent: does one of them name a fault, and does its cause stand first?",
        "",
        "| the fact | cases | it names the injected cause | its cause stands first | the injected cause stands first |",
        "|---|---|---|---|---|",
    ]
    here = np.array([c.way in KINDS["context and facts"] for c in cases])
    named = np.zeros(len(cases), dtype=bool)
    leader = total.argmax(axis=1)
    for fact in (row for row in ROWS if Grade.FACT in row.for_.values()):
        causes = {cause for cause, grade in fact.for_.items() if grade is Grade.FACT}
        stands = here & np.array([c.strengths.get(fact.name, 0.0) >= PLAINLY for c in cases])
        if stands.any():
            of = np.flatnonzero(stands)
            true = np.mean([cases[i].cause in causes for i in of])
            leads = np.mean([fitting.CAUSES[leader[i]] in causes for i in of])
            right = float((leader == data.truth)[of].mean())
            lines.append(f"| {fact.means} | {len(of)} | {true:.2f} | {leads:.2f} | {right:.2f} |")
        named |= stands
    for name, of_these in (("any of these", here & named), ("none of these", here & ~named)):
        if of_these.any():
            right = float((leader == data.truth)[of_these].mean())
            lines.append(f"| {name} | {of_these.sum()} | | | {right:.2f} |")
    return lines


def by_cause(cases: list[Case], data: fitting.Design, total: fitting.Array) -> list[str]:
    """How often each injected cause stands first, and what stands there instead."""
    lines = ["", "| injected cause | runs | first | among three | most often instead |", "|---|---|---|---|---|"]
    leader = total.argmax(axis=1)
    for cause in sorted({c.cause for c in cases}):
        chosen = np.array([c.cause == cause for c in cases])
        d, t = fitting.part(data, chosen), total[chosen]
        instead = Counter(fitting.CAUSES[i] for i in leader[chosen] if fitting.CAUSES[i] != cause).most_common(2)
        runs = len({c.run for c in cases if c.cause == cause})
        lines.append(
            f"| {cause} | {runs} | {first(t, d):.2f} | {first(t, d, 3):.2f} | "
            f"{', '.join(f'{n} ({k})' for n, k in instead)} |"
        )
    return lines


def document(data: fitting.Design, fitted: fitting.Fitted, heat: Heat) -> dict[str, object]:
    """What is kept: fitted values with the number of runs behind each; what stayed at its grade is left out."""
    rows: dict[str, dict[str, dict[str, float]]] = {}
    behind = data.weight @ (data.strengths > 0.5)
    for i, name in enumerate(fitting.row_names()):
        for place in np.flatnonzero(fitting.USED[i]):
            value, grade = fitted.magnitudes[i, place], fitting.GRADES[i, place]
            if behind[i] >= LEAST_RUNS and abs(value - grade) >= LEAST_CHANGE:
                entry = {"value": round(float(value), 2), "runs": round(float(behind[i]))}
                rows.setdefault(name, {})[str(fitting.CAUSES[place])] = entry
    base_rates: dict[str, dict[str, dict[str, float]]] = {}
    for i, condition in enumerate(fitting.CONDITIONS):
        of = data.condition == i
        for place in np.flatnonzero(abs(fitted.rates[i]) >= LEAST_CHANGE):
            runs = round(float(data.weight @ (of & (data.truth == place))))
            entry = {"value": round(float(fitted.rates[i, place]), 2), "runs": runs}
            base_rates.setdefault(str(condition), {})[str(fitting.CAUSES[place])] = entry
    kept = {"temperatures": heat.conditions, "by_knowledge": heat.by_knowledge}
    temperatures = {key: {k: {"value": t, "runs": n} for k, (t, n) in of.items()} for key, of in kept.items()}
    return {"rows": rows, "base_rates": base_rates} | temperatures


if __name__ == "__main__":
    main()
