//! Clients of the HTTPS door: real `curl`, real tokens, and a checker of the description.

pub mod client;
mod described;
mod gone;
mod limits;
mod predictions;
mod questions;
mod tokens;
