"""Reinforcement learning: agents that trace axons."""
