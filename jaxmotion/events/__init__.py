"""What happens in a video, where and when. `following` makes tracks that stay of segments that
move, `tracks` measures each track in each frame, `rules` tell
events from these numbers without training, `changes` where a track begins to do something else,
`scores` compares with the truth, and `files` writes events for people and other programs.
`features` are those numbers as a network takes them, and of what a network proposes `suppression`
lets the surest stand. Numpy only; labels and flow are all that it knows of segmentation.
"""

from jaxmotion.events.changes import change_points
from jaxmotion.events.following import OBJECTS, Following, follow
from jaxmotion.events.rules import KINDS, Event, Rules, find_events
from jaxmotion.events.signals import bouts
from jaxmotion.events.tracks import DESCRIPTORS, TrackMeter, Tracks, describe_tracks

__all__ = [
    "DESCRIPTORS",
    "KINDS",
    "OBJECTS",
    "Event",
    "Following",
    "Rules",
    "TrackMeter",
    "Tracks",
    "bouts",
    "change_points",
    "describe_tracks",
    "find_events",
    "follow",
]
