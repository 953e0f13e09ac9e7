//! Tests of the whole: golden table, lattice, effects, validity, ages.
