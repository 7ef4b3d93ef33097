"""Every study by name but `engine_scale`, which times the engine and sweeps no cells, at a size of
seconds: what the tests of the common shape run over.

A new study is tested by adding one line to STUDIES.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulations.basins.study import STUDY as BASINS
from simulations.capacity.study import STUDY as CAPACITY
from simulations.channels.study import STUDY as CHANNELS
from simulations.curvature.study import STUDY as CURVATURE
from simulations.entropy.study import STUDY as ENTROPY
from simulations.features_law.study import STUDY as FEATURES_LAW
from simulations.few_draws.study import STUDY as FEW_DRAWS
from simulations.linear_curves.study import STUDY as LINEAR
from simulations.novelty.study import STUDY as NOVELTY
from simulations.phase.study import STUDY as PHASE
from simulations.probe.calibration.study import STUDY as CALIBRATION
from simulations.random_features.study import STUDY as FEATURES
from simulations.released.study import STUDY as RELEASED
from simulations.rows.study import STUDY as ROWS
from simulations.scaling.study import STUDY as SCALING
from simulations.sharpness.study import STUDY as SHARPNESS
from simulations.staircase.study import STUDY as STAIRCASE
from simulations.study import Study


@dataclass(frozen=True)
class Case:
    """A study, the words of its tiniest run, and (words, fragment of the sentence) it refuses."""

    study: Study
    tiny: str
    refused: tuple[tuple[str, str], ...] = ()


STUDIES = {
    case.study.name: case
    for case in (
        Case(
            PHASE,
            "--train-sizes 4 64 --queries 32 --nelbo-queries 16 --nelbo-draws 4 "
            "--pattern-sets 200 --replicates 200 --width 16 --steps 20",
            (
                ("--source text", "add --text FILE"),
                ("--text x.txt", "--source text"),
                ("--source text --text /nonexistent/x.txt", "cannot read the text file"),
                ("--levels 0.5 1.3", "must lie in (0, 1]"),
                ("--train-sizes 8 4", "increasing"),
                ("--train-sizes 0", "at least 1"),
                ("--vocab-size 1", "`vocab_size` must be at least 2"),
                ("--seq-len 0", "`seq_len` must be at least 1"),
                ("--threshold 1.5", "`threshold` must lie in (0, 1)"),
                ("--steps 0", "`steps` and `batch` must be at least 1"),
                ("--seeds zero", "seeds"),
                ("--channel masked", "absorbing"),
                ("--channel hybrid --p-uniform 1.5", "`p_uniform` must lie in [0, 1]; got 1.5"),
                ("--p-uniform 0.3", "belongs to the channel hybrid; the channel is uniform"),
            ),
        ),
        Case(
            CHANNELS,
            "--train-sizes 4 64 --levels 0.3 --queries 32 --n-steps 4 --generation-steps 4 "
            "--starts 4 --information-draws 100 --pattern-sets 200 --replicates 200 --width 16 "
            "--steps 20",
            (
                ("--source text", "source"),
                ("--p-uniform 0", "between the other two channels; got 0"),
                ("--levels 0.5 1.0", "must be below 1"),
                ("--information-draws 10", "`information_draws` must be at least 100"),
            ),
        ),
        Case(
            BASINS,
            "--binary-len 16 --token-len 12 --train-sizes 4 20 --sets 30 --queries-per-set 4 "
            "--levels 0.05 0.3 0.6 --error-levels 0.3 --replicates 200 --trained-sizes",
        ),
        Case(
            CAPACITY,
            "--hopfield 40 60 80 --potts3 30 40 60 --potts4 20 30 40 --potts8 12 16 24 "
            "--dense3 10 14 18 --loads 0.8 1.2 2.0 3.0 --dense-loads 0.8 2.0 6.0 --sets 3 "
            "--starts 4 --existence 14 17 20 --rows 2 --fits 10 14 --fit-loads 0.5 2.0 "
            "--features 60 --feature-loads 0.2 1.0 --replicates 100",
            (("--sets 2", "`sets` must be at least 3; got 2"),),
        ),
        Case(
            LINEAR,
            "--cases 3 4 0.5 3 8 0.5 2 5 0.7 --ratios 0.5 2.0 --seeds 3 --queries 16 "
            "--draws-case 2 6 0.5 --draws-ratios 0.5 1.0 --ridges 0.1 --draws 1 2 "
            "--flow-case 2 6 0.5 --flow-sizes 4 12 --times 0.5 2.0 --replicates 100",
        ),
        Case(
            FEATURES,
            "--vocab-size 3 --seq-len 4 --pairs 6 --cases relu full 0.75 1.0 erf 0 0.8 2.0 "
            "--ratios 0.5 2.0 --draws-case erf 0 0.8 2.0 --draws 1 2 --pair-ratios 0.5 1.0 2.0 "
            "--flow-case relu full 0.75 1.0 --flow-ratios 1.0 --times 0.5 5.0 "
            "--chain-case relu 0 0.5 1.0 --chain-ratios 1.0 3.0 --size-cases erf 0 0.8 1.0 "
            "--lengths 2 3 4 5 --seeds 3 --size-seeds 3 --queries 16 --replicates 100",
            (
                ("--redraw 1.0", "`redraw` must lie in (0, 1)"),
                ("--cases gelu 0 0.5 1.0", "a case begins with one of erf, relu, sign, tanh"),
                ("--cases erf no 0.5 1.0", "a number, fit or full; got erf, no"),
                ("--cases erf 0 1.0 1.0", "a case ends with alpha inside (0, 1)"),
                ("--flow-case erf fit 0.5 1.0", "whose training time has no theory"),
                ("--ratios 0.5 0.5001", "K must differ between points"),
                ("--ridge 0", "are positive"),
            ),
        ),
        Case(
            CURVATURE,
            "--systems linear iid 0 pairwise markov 0 mlp iid 20 --vocab-size 3 --seq-len 4 "
            "--train-sizes 32 64 128 --levels 0.25 0.5 --seeds 2 --networks 1 --draws 2 --block 16 "
            "--blocks 3 --rows 64 --lanczos-steps 8 --mlp-width 4 --replicates 100",
            (
                ("--systems mlp iid 0", "`systems` have training steps, 0 where"),
                ("--systems linear iid 5", "`systems` have training steps, 0 where"),
                ("--systems linear markov 0", "linear is known on the source iid alone"),
                ("--systems potts iid 0", "linear, features, pairwise, mlp or dit; got potts"),
                ("--systems mlp text 5", "is iid or markov; got mlp text 5"),
                ("--levels 0.5 1.0", "`levels` must be below 1; got 1.0"),
                ("--train-sizes 8 16", "at least three sizes"),
                ("--block 7", "`block` must be even, for balanced signs; got 7"),
                ("--networks 9", "`networks` must be at most `seeds` = 2; got 9"),
                ("--dit-width 6", "a multiple of 4, for two heads; got 6"),
            ),
        ),
        Case(
            FEW_DRAWS,
            "--vocab-size 3 --seq-len 4 --curves 4 20 1 True 4 4 4 20 2 True 6 4 4 20 0 True 4 4 "
            "--seeds 2 --queries 16 --batch 8 --warmup 2",
            (
                ("--seeds 1", "`seeds` must be at least 2; got 1"),
                ("--curves 4 20 9 True 4 4", "different counts"),
            ),
        ),
        Case(
            SCALING,
            "--vocab-size 4 --seq-len 8 --widths 4 8 --step-counts 20 40 --iid-sizes 4 64 "
            "--markov-sizes 4 64 --linear-cases 2 16 0.5 2 24 0.5 --linear-sets 3 "
            "--hierarchies 3 2 3 --hierarchy-sizes 4 64 --hierarchy-width 4 --hierarchy-steps 20 "
            "--draws 2 0 --draws-sizes 4 16 64 --draws-width 4 --draws-steps 20 --queries 16 "
            "--n-steps 4 --nelbo-queries 8 --nelbo-draws 2 --batch 8 --warmup 2",
        ),
        Case(
            FEATURES_LAW,
            "--vocab-size 2 --seq-len 8 --fitted iid 4 10 True 1 2 iid 4 20 True 1 2 "
            "iid 8 10 True 1 2 iid 8 20 True 1 2 --held-back iid 8 20 False 1 2 "
            "--rates 4 10 0.003 4 20 0.003 8 10 0.003 8 20 0.003 --searched 4 10 8 8 10 8 "
            "--search-rates 0.003 0.006 --queries 16 --n-steps 4 --replicates 100 --batch 8 "
            "--warmup 2",
            (
                ("--held-back text 32 400 True 1 2", "iid or markov"),
                ("--held-back iid 33 400 True 1 2", "no learning rate of width 33"),
                ("--held-back iid 32 100 True 1 2", "given once"),
                ("--seeds 1", "`seeds` must be at least 2"),
                ("--search-rates 0.006 0.003", "`search_rates`"),
            ),
        ),
        Case(
            ENTROPY,
            "--train-sizes 4 16 64 --seeds 2 --sequences 24 --n-steps 8 "
            "--levels 0.125 0.25 0.5 0.75 --histogram-levels 0.25 --width 8 --steps 10 "
            "--check-sequences 200 --replicates 100",
            (("--source text", "no exact population law"),),
        ),
        Case(
            NOVELTY,
            "--train-sizes 4 16 64 --seeds 5 --sequences 64 --n-steps 4 --stepped 8 --width 16 "
            "--steps 20 --check-sets 100 --replicates 100",
            (
                ("--source text", "a text has no known law"),
                ("--train-sizes 8 16", "`train_sizes` must hold three sizes"),
                ("--train-sizes 8 4 16", "increasing"),
                ("--sequences 63", "`sequences` must be a multiple of 4"),
                ("--sequences 8", "`sequences` must be at least 16"),
                ("--distances 1 2", "`distances` must be increasing numbers of tokens from 0 on"),
                ("--distances 0 8", "`distances` must be below `seq_len` = 8"),
                ("--chance 1.0", "`chance` must lie in (0, 1)"),
                ("--least-excess 0", "`least_excess` must be positive"),
                ("--check-sets 10", "`check_sets` must be at least 100"),
            ),
        ),
        Case(
            RELEASED,
            "--train-sizes 4 16 64 --seeds 2 --widths 8 --seq-len 6 --queries 16 --n-steps 4 "
            "--steps 20 --batch 8 --replicates 100",
            (
                ("--corpus x.npy", "--checkpoints is missing"),
                ("--checkpoints a.ckpt --corpus x.npy", "--held-out is missing"),
                ("--checkpoints a.ckpt --corpus x.txt --held-out y.npy", "must be a .npy file"),
                (
                    "--checkpoints none.csv --corpus x.npy --held-out y.npy",
                    "none.csv cannot be read",
                ),
                ("--checkpoints lm1b-a-0.1.ckpt --corpus x.npy --held-out y.npy", "--subset-seed"),
                ("--checkpoints a.ckpt --corpus x.npy --held-out y.npy", "which network it is"),
                ("--levels 0.5 0.25", "`levels` must be increasing noise levels in (1e-5, 1)"),
                ("--widths 6", "`widths` must be multiples of 4"),
                ("--queries 4", "`queries` must be at least 8"),
            ),
        ),
        Case(
            ROWS,
            "--sizes 20 --alphas 0.6 --loads 1.0 3.0 --rows 3 --separable 2 9 3 7 --programs 3 "
            "--chain-lengths 9 --memories 2 10 3 8 --sites 4 2 --relative-loads 0.5 0.8 1.2 "
            "--ridges 0.01 0.001 --judged 0.001 --sets 3 --networks 8 --levels 0.1 --steps 20 "
            "--network-sets 4",
            (
                ("--sets 2", "`sets` must be at least 3; got 2"),
                ("--alphas 1.0", "`alphas` must lie in (0, 1); got 1.0"),
                ("--ridges 0.001 0.01", "`ridges` must be positive and decreasing"),
                ("--ridges 0.1", "`judged` must be one of `ridges`"),
                ("--sites 4", "`sites` must hold a count of at most L"),
                ("--chain-lengths 10", "`chain_lengths` must be odd"),
                ("--memories 2 3", "`memories` holds V at least 2 and L at least 4"),
            ),
        ),
        Case(
            STAIRCASE,
            "--sizes 4 16 64 --lengths 10 --orders 1 --widths 8 --n-blocks 0 --train-sizes 8 32 "
            "--memory-size 2 8 --degrees-size 2 6 --times 2 2 --adam-steps 8 8 --readings 5 "
            "--queries 16 --batch 8 --sets 3 --seeds 3 --replicates 100",
            (
                ("--memory-size 1 8", "`memory_size` holds V at least 2 and L at least 4"),
                ("--degrees-size 2 16", "at most 4096 sequences"),
                ("--orders 3", "`orders` are 1 or 2"),
                ("--rate 2.5", "`rate` lies in (0, 2)"),
                ("--lengths 4 8", "are all one K"),
                ("--seeds 2", "`seeds` must be at least 3; got 2"),
            ),
        ),
        Case(
            SHARPNESS,
            "--lengths 8 16 32 --vocabularies 4 --memorizers 2 6 2 8 --linears 3 4 3 6 --sets 3 "
            "--queries 20 --memories 2 6 2 10 --loads 0.3 0.8 1.5 4.0 --ridges 0.01 "
            "--memory-sets 3 --separable 3 5 3 7 --programs 3 --sources iid --network-lengths 4 6 "
            "--shapes 4 10 --train-sizes 4 16 64 --seeds 2 --network-queries 16 --batch 8 "
            "--warmup 2",
            (
                ("--sets 2", "`sets` must be at least 3; got 2"),
                ("--sources text", "`sources` must be among iid, markov; got"),
                ("--train-sizes 8", "`train_sizes` must hold two sizes or more"),
                ("--alphas 1.0", "`alphas` must lie in (0, 1)"),
                ("--memories 1 8", "`memories` holds V at least 2 and L at least 4"),
                ("--ridges 0", "`ridges` and `rate` must be positive"),
            ),
        ),
        Case(
            CALIBRATION,
            "--families iid markov --train-sizes 4 2048 --steps 300 --sequences 32 --truth 64 "
            "--n-steps 8",
            (
                ("--families texts", "`families` must hold different ones of markov"),
                ("--families text", "needs a text: add --text FILE"),
                ("--text /nonexistent/x.txt", "cannot read the text file"),
                ("--train-sizes 16", "`train_sizes` must hold at least two"),
                ("--levels 0.5 0.25", "`levels` must increase"),
                ("--replicates 10", "`replicates` must be at least 100; got 10"),
                ("--truth 2", "`truth` must be at least 8"),
            ),
        ),
    )
}
