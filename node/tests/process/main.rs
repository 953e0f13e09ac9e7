//! The real `aquifer-node` process: killed, starved of disk, rolled back, refused, asked by its own commands.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod group;
#[cfg(test)]
mod shared_cases;
#[cfg(test)]
mod world;
