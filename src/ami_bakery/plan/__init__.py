"""Plans: from digests and the AMIs found to actions with reasons."""
