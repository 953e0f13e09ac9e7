//! What SQL clients say on the PostgreSQL wire, and how they prove who they are: bytes into messages, values into bytes.
//!
//! Pure: reads what it is given, and draws nothing. What statements mean is not decided here.

pub mod frontend;
pub mod scram;
pub mod values;
