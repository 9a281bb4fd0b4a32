"""One-line faults, put into the code that judges and trains, one at a time: do the fast tests notice?"""
