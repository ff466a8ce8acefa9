# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The end of the drift time box
#
# A hit next to its wire drifts for no time, one at the edge of its cell for the longest, `T_max`. Half a cell divided
# by `T_max` is the drift velocity. Here `T_max` is fitted from nothing: simulated words take the place of a file.
#
# Needs the extra `hist`. Jupyter opens this file as a notebook by jupytext; it is also a program.

# %%
import numpy as np

import muonstream

muonstream.simulate_words(200_000, seed=7).astype("<u8").tofile("cosmics.dat")
run = muonstream.analyse("cosmics.dat")
run  # noqa: B018

# %% [markdown]
# Drift times are the hit's time minus the scintillator's; the chamber's offset is added, and bins of 10 ns are enough.

# %%
chamber = run.detector.chambers[0]
drift = run.hists["drift_tdc"][chamber.name, ::12j]
time_ns, hits = drift.axes[0].centers + chamber.time_offset_ns, drift.values()

# %% [markdown]
# A step that is smeared: before it a number of hits a bin, after it a flat background. The likelihood of counts is
# largest at the best step; its position and width are looked for on a grid.

# %%
near = (time_ns > 200) & (time_ns < 700)
x, n = time_ns[near], hits[near]
edge, width = (grid.ravel() for grid in np.meshgrid(np.arange(330, 450, 0.5), np.arange(2, 30, 1.0)))
step = 1 / (1 + np.exp((x - edge[:, None]) / width[:, None]))
box, background = n[x < 320].mean(), n[x > 470].mean()
expected = background + (box - background) * step
log_likelihood = (n * np.log(expected) - expected).sum(axis=1)
best = int(log_likelihood.argmax())
inside = edge[log_likelihood > log_likelihood[best] - 0.5]

# %%
t_max_ns, error_ns = float(edge[best]), max(float(np.ptp(inside)) / 2, 0.5)
velocity = chamber.cell_width_mm / 2 / t_max_ns * 1000
print(f"T_max = {t_max_ns:.1f} ± {error_ns:.1f} ns, drift velocity {velocity:.1f} um/ns")
