"""Numbers that must not move unless somebody says why: traces of training and the tables of one report."""
