"""Lattices that are turned or hexagonal."""

import numpy as np


def turned(positions, degrees):
    a = np.deg2rad(degrees)
    return positions @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def hexagonal(n_rows=12, n_cols=10, pitch=40.0):
    j, i = np.mgrid[0:n_rows, 0:n_cols]
    return pitch * np.column_stack([(i + 0.5 * (j % 2)).ravel(), (j * np.sqrt(0.75)).ravel()])
