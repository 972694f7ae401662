"""Results for a video of one's own: pictures, a page to look at, and files for other programs."""

from jaxmotion.answer.exports import EXPORTS
from jaxmotion.answer.segment import Answer, Report, segment_video

__all__ = ["Answer", "EXPORTS", "Report", "segment_video"]
