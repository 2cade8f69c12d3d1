"""Recognition: from a picture to faces with emotions, without torch."""
