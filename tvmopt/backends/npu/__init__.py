"""Arm Ethos-U NPUs: subgraphs as TOSA graphs, compiled by Vela."""
