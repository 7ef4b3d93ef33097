"""The main job: `python simulations/phase_diagram.py`; what it does is in `simulations/phase/`."""

from simulations.phase.study import STUDY

if __name__ == "__main__":
    STUDY.main()
