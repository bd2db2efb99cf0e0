"""Faulty PyTorch programs, each with its repaired twin, watched with two added lines: which cause is named first?"""
