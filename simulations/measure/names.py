"""The names and levels that measurements share: coordinates of datasets, words of reports."""

DENOISERS = ("trained", "nelbo", "pairwise", "empirical", "population")
EXACT = ("empirical", "population")  # the two ends
DECODERS = ("ancestral", "argmax", "best_change")
SPLITS = ("train", "heldout", "generated", "random")
LAWS = ("loo", "full")
EPSILONS = (0.01, 0.05, 0.2)  # nats; below the entropy is said to vanish
SMALL_LEVEL = 1e-5  # t at which conditional entropies are read, as in the paper's code
LOG_LOSS_CAP = 20.0  # nats; the empirical denoiser gives exact zeros

# nats; edges of the histograms of token entropies, ten a decade, EPSILONS among them
ENTROPY_EDGES = (
    *(float(f"{10 ** (k / 10):.2g}") for k in range(-40, 0)),
    *(1.0, 1.5, 2.0, 3.0),
)
