def phase_diagram_figure(analysis, stem):
    pass
