"""The sentences of the text that say in words what its numbers show.

Long because every such sentence of the appendix stands here.
"""

from __future__ import annotations

from collections.abc import Callable

from paper.claims import Claim, Numbers


def _theory(capacity: str, theory: str, inside: bool) -> Callable[[Numbers], bool]:
    """Whether the interval of a critical load holds the theory's, or does not."""
    return lambda n: n[f"capacity.{capacity}"].holds(n[theory].value) is inside


CLAIMS = (
    Claim(
        "channel",
        "the exact loo loses information only, full is worse than a uniform guess",
        lambda n: (
            n["nelbo.loo"].value == n["nelbo.information"].value
            and n["nelbo.loo"].value < n["nelbo.uniform"].value < n["nelbo.full"].value
        ),
    ),
    Claim(
        "memorizer",
        "finite radii lie above the line of infinite length",
        lambda n: all(
            n[f"memorizer.radius.{s}"].value > n[f"memorizer.asymptote.{s}"].value
            for s in ("small", "large")
        ),
    ),
    Claim(
        "memorizer",
        "the mean posterior weight dies out faster than retrieval",
        lambda n: n["memorizer.true_weight"].value > n["memorizer.strong_converse"].value,
    ),
    Claim(
        "memorizer",
        "the formulas are confirmed",
        lambda n: (
            max(n["markov.exact.worst"].value, n["basins.exact.worst"].value) <= n["method.z"].value
        ),
    ),
    *(
        Claim(
            "memories",
            f"the interval of the critical load {'holds' if inside else 'does not hold'} the "
            f"theory, {capacity}",
            _theory(capacity, theory, inside),
        )
        for capacity, theory, inside in (
            ("hopfield", "hopfield.critical", True),
            ("potts.3", "potts.critical.3", True),
            ("potts.4", "potts.critical.4", True),
            ("potts.8", "potts.critical.8", False),
            ("dense", "dense.critical", False),
            ("cover", "gardner.critical", True),
            ("hopfield.strict", "hopfield.critical", True),
            ("potts.3.strict", "potts.critical.3", True),
            ("potts.4.strict", "potts.critical.4", False),
            ("potts.8.strict", "potts.critical.8", False),
            ("dense.strict", "dense.critical", True),
        )
    ),
    Claim(
        "memories",
        "nothing passes the bound",
        lambda n: n["basins.bounds.worst"].value <= n["method.z"].value,
    ),
    Claim(
        "memories",
        "the exponential memory lies on the bound, one draw under it",
        lambda n: all(
            n[f"basins.{p}.exponential"].high >= n[f"basins.{p}.shannon"].value - 0.005
            and n[f"basins.{p}.draw"].high < n[f"basins.{p}.shannon"].value
            for p in ("binary", "tokens")
        ),
    ),
    Claim(
        "memories",
        "a trained network lies between memories with pair couplings and the dense one at V = 2",
        lambda n: (
            max(n[f"basins.binary.{m}"].high for m in ("hopfield", "inverse", "pseudo"))
            < n["basins.binary.trained"].low
            and n["basins.binary.trained"].high < n["basins.binary.dense"].low
        ),
    ),
    Claim(
        "linear",
        "deviations fall as one over the dimension",
        lambda n: abs(n["curves.short.product"].value / n["curves.long.product"].value - 1) < 0.2,
    ),
    Claim(
        "linear",
        "the size drawn out to infinite length is the predicted one",
        lambda n: n["scaling.linear.limit"].holds(n["linear.corrupted_recovery"].value),
    ),
    Claim(
        "linear",
        "strict proportionality holds at V = 2 and is refused at V = 4 and 8",
        lambda n: [n[f"law.linear.{v}"].holds(1.0) for v in (2, 4, 8)] == [True, False, False],
    ),
    Claim(
        "population",
        "the Bayes decision restores most tokens and fewest of the corrupted ones",
        lambda n: (
            n["plateau.argmax.all"].value > n["plateau.draw.all"].value
            and n["plateau.argmax.corrupted"].value < n["plateau.draw.corrupted"].value
            and n["plateau.draw.corrupted"].value < n["plateau.change.corrupted"].value
        ),
    ),
    Claim(
        "population",
        "the loo entropy at small noise lies below the entropy of the source",
        lambda n: (
            n["chain.loo"].value < n["chain.entropy"].value
            and n["markov.source.loo"].value < n["novelty.entropy"].value
        ),
    ),
    Claim(
        "population",
        "no decoder beats the Bayes decision in the recovery of all tokens",
        lambda n: n["markov.bounds.worst"].value <= n["method.z"].value,
    ),
    Claim(
        "networks",
        "both ends are reached to within a tenth",
        lambda n: max(abs(n["markov.gap.largest"].low), abs(n["markov.gap.largest"].high)) <= 0.1,
    ),
    Claim(
        "networks",
        "the radius of training sequences falls",
        lambda n: (
            n["markov.radius.trained.train.exact.first"].low
            > n["markov.radius.trained.train.exact.last"].high
        ),
    ),
    Claim(
        "networks",
        "the radius of held-out sequences by the nearest one has a maximum inside",
        lambda n: (
            n["markov.radius.peak"].low
            > max(n[f"markov.radius.trained.heldout.exact.{e}"].high for e in ("first", "last"))
        ),
    ),
    Claim(
        "networks",
        "the radius of held-out sequences by recovery grows",
        lambda n: (
            n["markov.radius.trained.heldout.token.first"].high
            < n["markov.radius.trained.heldout.token.last"].low
        ),
    ),
    Claim(
        "networks",
        "entropy of training sequences passes half-way at several times the K of recovery",
        lambda n: all(
            n[f"{run}.entropy.train"].low > 2 * n[f"{run}.half"].high for run in ("markov", "iid")
        ),
    ),
    Claim(
        "networks",
        "entropy of generated sequences is nearer, but not everywhere near",
        lambda n: (
            all(
                n[f"{run}.half"].value < n[f"{run}.entropy.generated"].value
                and n[f"{run}.entropy.generated"].high < n[f"{run}.entropy.train"].low
                for run in ("markov", "iid")
            )
            and n["iid.entropy.generated"].low > 1.5 * n["iid.half"].high
        ),
    ),
    Claim(
        "networks",
        "the networks leave the optimal memorizer orders of magnitude below its own limit",
        lambda n: n["markov.half"].high < n["markov.memorizer"].low / 100,
    ),
    Claim(
        "networks",
        "larger networks make the transition at larger K, less than in proportion",
        lambda n: all(
            0 < n[f"law.{s}.parameters.{q}"].low and n[f"law.{s}.parameters.{q}"].high < 1
            for s in ("iid", "markov")
            for q in ("recovery", "entropy")
        ),
    ),
    Claim(
        "networks",
        "the slope is smaller with fewer steps",
        lambda n: n["law.iid.few.recovery"].high < n["law.iid.parameters.recovery"].low,
    ),
    Claim(
        "networks",
        "memorized bits a parameter are far below 3.6 and the exponents of time are small",
        lambda n: (
            max(n[f"scaling.bits.{s}.smallest"].high for s in ("iid", "markov")) < 1
            and max(n[f"law.{s}.steps.small.recovery"].high for s in ("iid", "markov")) < 0.3
        ),
    ),
    Claim(
        "networks",
        "entropy moves with training time where recovery hardly does",
        lambda n: all(
            n[f"law.{s}.steps.small.entropy"].low > n[f"law.{s}.steps.small.recovery"].high
            for s in ("iid", "markov")
        ),
    ),
    Claim(
        "networks",
        "the perplexity peak follows samples more nearly than a capacity, and neither exactly",
        lambda n: n["law.draws.peak"].high < -0.5 and n["law.draws.peak"].low > -1,
    ),
    Claim(
        "channels",
        "under masks the same two sizes are found, and they are not the same numbers",
        lambda n: (
            n["channels.absorbing.KM"].low > 0
            and n["channels.absorbing.KG"].low > 0
            and not n["channels.ratio.KM"].low <= 1 <= n["channels.ratio.KM"].high
        ),
    ),
    Claim(
        "trajectory",
        "full says next to nothing at the smallest noise",
        lambda n: (
            n["entropy.first.full.measured.small"].high
            < 0.25 * n["entropy.first.loo.measured.small"].low
        ),
    ),
    Claim(
        "trajectory",
        "the smallest noise is not the best level",
        lambda n: (
            n["entropy.first.loo.measured.best"].low > n["entropy.first.loo.measured.small"].high
        ),
    ),
    Claim(
        "trajectory",
        "near the transition the networks fall short of the prediction, at less noise",
        lambda n: (
            n["entropy.middle.loo.measured.best"].high < n["entropy.middle.loo.predicted.best"].low
            and n["entropy.middle.loo.measured.level"].high
            < n["entropy.middle.loo.predicted.level"].low
        ),
    ),
    Claim(
        "trajectory",
        "on held-out sequences the sign depends on K",
        lambda n: n["entropy.heldout.first"].high < 0 < n["entropy.heldout.middle"].low,
    ),
    Claim(
        "trajectory",
        "spurious sequences exist and never prevail, and are not few attractors",
        lambda n: (
            n["novelty.beyond"].low > 0
            and n["novelty.largest"].high < 0
            and n["novelty.attractors"].high < 0
        ),
    ),
    Claim(
        "trajectory",
        "novelty comes before quality",
        lambda n: n["novelty.worse"].low > 0 and n["novelty.early"].low > 0,
    ),
    Claim(
        "probe",
        "entropy alone is about as good; held-out text is needed; little memory is not told",
        lambda n: (
            n["probe.both.all.log.score"].low
            < n["probe.both.all.entropy.alone"].value
            < n["probe.both.all.log.score"].high
            < n["probe.own.all.log.score"].value
            and n["probe.both.least"].high < n["probe.both.most"].low
        ),
    ),
    Claim(
        "disagreements",
        "no exact comparison fails",
        lambda n: n["exact.failed"].value == 0,
    ),
    Claim(
        "disagreements",
        "at the largest K fewer tokens in all are restored and more of the corrupted ones",
        lambda n: n["markov.gap.all"].high < 0 < n["markov.gap.corrupted"].low,
    ),
    Claim(
        "disagreements",
        "at the largest K the loo entropy is above the source's, on independent tokens below it",
        lambda n: (
            n["markov.last.loo.train"].low > n["markov.source.loo"].value
            and n["iid.last.loo.train"].high < n["iid.log.vocab"].value
        ),
    ),
    Claim(
        "disagreements",
        "predictions for many neurons lie above Hopfield and dense basins, below the others",
        lambda n: (
            all(
                n[f"basins.{m}.predicted"].value > n[f"basins.{m}.measured"].high
                for m in ("hopfield", "dense")
            )
            and all(
                n[f"basins.{m}.predicted"].value < n[f"basins.{m}.measured"].low
                for m in ("inverse", "exponential")
            )
        ),
    ),
)
