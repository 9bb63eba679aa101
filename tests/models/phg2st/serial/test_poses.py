"""Sections laid on one another: a pose that is known is found."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc.models.phg2st.serial.poses import Drawing, Pose, find_poses


def moved(positions, degrees, shift, flip):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror = np.diag([-1.0 if flip else 1.0, 1.0])
    return positions @ mirror @ turn.T + np.asarray(shift)


def error(pose, section, truth):
    return np.sqrt(((pose(section) - truth) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize(
    ("degrees", "shift", "flip"), [(0, (0, 0), False), (7, (3, -2), False), (-90, (0, 5), False), (143, (40, 7), True)]
)
def test_a_known_pose_is_found_by_the_image(tissue, fields, degrees, shift, flip):
    channels = fields(tissue, 3, 1)
    section = moved(tissue, degrees, shift, flip)
    poses = find_poses(Drawing.of(section, channels), Drawing.of(tissue, channels))
    assert error(poses[0], section, tissue) < 0.5
    assert poses[0].flip == flip
    wrong = [pose for pose in poses if error(pose, section, tissue) > 2.0]
    assert poses[0].score > max(pose.score for pose in wrong) + 0.05
    assert [pose.score for pose in poses] == sorted((pose.score for pose in poses), reverse=True)


@pytest.mark.parametrize(("degrees", "shift"), [(0, (4, -1)), (12, (3, -2)), (-30, (1, 5))])
def test_a_known_pose_is_found_by_the_outline(tissue, degrees, shift):
    section = moved(tissue, degrees, shift, flip=False)
    poses = find_poses(Drawing.of(section, None), Drawing.of(tissue, None))
    assert error(poses[0], section, tissue) < 0.5


def test_a_piece_is_found_in_the_whole(tissue, fields):
    channels = fields(tissue, 3, 2)
    keep = (tissue[:, 0] < 12) & (tissue[:, 1] < 11)
    section = moved(tissue[keep], 20, (5, 5), flip=False)
    best = find_poses(Drawing.of(section, channels[keep]), Drawing.of(tissue, channels))[0]
    assert error(best, section, tissue[keep]) < 0.5


def test_a_pose_turns_about_the_center():
    positions = np.array([[0.0, 0.0], [2.0, 0.0]])
    pose = Pose(flip=False, degrees=90.0, shift=(1.0, 0.0), center=(1.0, 0.0), onto=(10.0, 10.0))
    np.testing.assert_allclose(pose(positions), [[11.0, 9.0], [11.0, 11.0]], atol=1e-12)


def test_a_channel_that_says_nothing_does_no_harm(tissue, fields):
    channels = np.hstack([fields(tissue, 2, 1), np.full((len(tissue), 1), 3.0)])
    poses = find_poses(Drawing.of(tissue + 3.0, channels), Drawing.of(tissue, channels))
    assert error(poses[0], tissue + 3.0, tissue) < 0.5


def test_another_image_fits_worse_than_the_same(tissue, fields):
    one = Drawing.of(tissue, fields(tissue, 3, 1))
    other = Drawing.of(tissue, fields(tissue, 3, 99))
    assert find_poses(one, one)[0].score > find_poses(one, other)[0].score + 0.3
