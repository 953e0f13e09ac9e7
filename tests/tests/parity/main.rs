//! The product against the reference, noise off or recorded: golden vectors, and the figures that the public data sets reach.
//!
//! Needs `../shared` (or `AQUIFER_SHARED`): without it these tests say so and pass, except where `CI` is set.

#[cfg(test)]
mod customers;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod quality;
#[cfg(test)]
mod questions;
