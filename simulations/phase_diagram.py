"""The main job: `python simulations/phase_diagram.py`, see `simulations/phase/`."""

from simulations.phase.study import main

if __name__ == "__main__":
    main()
