//! Real processes on loopback, through the commands that people use: the way to a release, and what may go wrong on it.

#[cfg(test)]
mod analyst;
#[cfg(test)]
mod analyst_differences;
#[cfg(test)]
mod analyst_floods;
#[cfg(test)]
mod analyst_prices;
#[cfg(test)]
mod analyst_slots;
#[cfg(test)]
mod analyst_storms;
#[cfg(test)]
mod at_rest;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod counts;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod digests;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod drivers;
#[cfg(test)]
mod evasions;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod half_read;
#[cfg(test)]
mod held;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod https;
#[cfg(test)]
mod identities;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod law;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod notebook;
#[cfg(test)]
mod packs;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod psql;
#[cfg(test)]
mod put_back;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod records;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod release;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod retraining;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod trust;
