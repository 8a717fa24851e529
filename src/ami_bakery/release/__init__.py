"""Changes what users get from channels: promotes, rolls back and revokes AMIs."""
