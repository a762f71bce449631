"""What a journal's bytes are to those who wrote them: frames, and messages with UUIDs. Pure."""
