"""What moves, while it is filmed: from a camera, a stream or a file to a window or a recording.

`source` reads frames, `loop` takes them through flow, network and the choice of what moves,
`picture` draws, and `outputs` shows and records.
"""

from jaxmotion.live.loop import LiveReport, watch
from jaxmotion.live.outputs import Output, Recording, Window, why_no_display
from jaxmotion.live.source import open_source

__all__ = ["LiveReport", "Output", "Recording", "Window", "open_source", "watch", "why_no_display"]
