//! Imports of every kind, and what they must refuse.
