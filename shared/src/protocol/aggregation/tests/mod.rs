//! Both sides together: whole transcripts, every rule with a case that it refuses, hostile members and coordinators.

mod blind;
mod coordinator_rules;
mod failures;
mod hostile;
mod member_rules;
mod transcripts;
mod world;
