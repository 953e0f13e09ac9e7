//! Studies whose sums are secure, with the real machines of both sides: what must hold whatever members and process do.

mod course;
mod failures;
mod groups;
mod node;
mod restarts;
mod world;
