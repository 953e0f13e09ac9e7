//! Real sessions on a simulated network and clock: loss, reordering, partitions, restarts, and what becomes of certificates.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod chatter;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod history;
#[cfg(test)]
mod members;
#[cfg(test)]
mod network;
#[cfg(test)]
mod studies;
#[cfg(test)]
mod study;
#[cfg(test)]
mod unit;
#[cfg(test)]
mod world;
