//! Real processes behind networks that lose datagrams, killed at moments that a seed draws: every study ends, and is paid for.

#[cfg(test)]
mod absences;
#[cfg(test)]
mod deployment;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod relays;
